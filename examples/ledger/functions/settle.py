"""Transfers are settled: both accounts and both entries change together, once, or nothing does."""

import json
from typing import Any

import boto3
from answers import Json

from stagedoor.runtime import Table

dynamodb = boto3.client("dynamodb")
ACCOUNTS, ENTRIES = Table.Accounts.table_name, Table.Entries.table_name


def handle(event: Json, context: object) -> Json:
    failed = []
    for record in event["Records"]:
        try:
            settle(json.loads(record["body"]))
        except Exception as error:  # this one comes again, and at last is a dead letter; the others are done
            print(f"not settled: {error!r}")
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def settle(transfer: Json) -> None:
    cents = transfer["cents"]
    changes: list[Any] = [
        entry(transfer["from"], transfer, -cents),
        entry(transfer["to"], transfer, cents),
        balance(transfer["from"], -cents, "balance >= :least", {":least": {"N": str(cents)}}),
        balance(transfer["to"], cents, "attribute_exists(id)", {}),
    ]
    try:
        dynamodb.transact_write_items(TransactItems=changes)
    except dynamodb.exceptions.TransactionCanceledException as error:
        codes = [reason["Code"] for reason in error.response["CancellationReasons"]]
        if "ConditionalCheckFailed" not in codes:
            raise
        if codes[0] != "ConditionalCheckFailed":  # it was not settled before: an account refuses it
            print(f"refused: {transfer['id']}")


def entry(account: str, transfer: Json, cents: int) -> Json:
    return {
        "Put": {
            "TableName": ENTRIES,
            "Item": {"account": {"S": account}, "transfer": {"S": transfer["id"]}, "cents": {"N": str(cents)}},
            "ConditionExpression": "attribute_not_exists(transfer)",
        }
    }


def balance(account: str, cents: int, condition: str, values: Json) -> Json:
    return {
        "Update": {
            "TableName": ACCOUNTS,
            "Key": {"id": {"S": account}},
            "UpdateExpression": "ADD balance :cents",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":cents": {"N": str(cents)}, **values},
        }
    }
