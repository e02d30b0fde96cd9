"""Accounts, with their balance in cents."""

import json

import boto3
from answers import Json, answer
from boto3.dynamodb.conditions import Key

from stagedoor.runtime import Table

dynamodb = boto3.resource("dynamodb")
accounts = dynamodb.Table(Table.Accounts.table_name)


def open_account(event: Json, context: object) -> Json:
    balance = json.loads(event.get("body") or "{}").get("balance", 0)
    if not isinstance(balance, int) or balance < 0:
        return answer(400, error="A balance is a whole number of cents, 0 or more.")
    account = {"id": event["pathParameters"]["id"], "balance": balance}
    try:
        accounts.put_item(Item=account, ConditionExpression="attribute_not_exists(id)")
    except accounts.meta.client.exceptions.ConditionalCheckFailedException:
        return answer(409, error="There is such an account already.")
    return answer(201, **account)


def show(event: Json, context: object) -> Json:
    found = accounts.get_item(Key={"id": event["pathParameters"]["id"]}, ConsistentRead=True).get("Item")
    if not found:
        return answer(404, error="There is no such account.")
    entries = dynamodb.Table(Table.Entries.table_name)
    listed = entries.query(KeyConditionExpression=Key("account").eq(found["id"]), Limit=50)["Items"]
    return answer(200, **found, entries=listed)
