"""Every night each account's statement is written."""

import json
from datetime import UTC, datetime

import boto3
from answers import Json
from boto3.dynamodb.conditions import Key

from stagedoor.runtime import Bucket, Table

dynamodb = boto3.resource("dynamodb")
s3 = boto3.client("s3")


def write(event: Json, context: object) -> Json:
    day = datetime.now(UTC).date().isoformat()
    entries = dynamodb.Table(Table.Entries.table_name)
    written = 0
    for account in all_accounts():
        lines = entries.query(KeyConditionExpression=Key("account").eq(account["id"]))["Items"]
        statement = {"account": account["id"], "balance": int(account["balance"]), "entries": len(lines)}
        s3.put_object(
            Bucket=Bucket.Statements.bucket_name, Key=f"{day}/{account['id']}.json", Body=json.dumps(statement).encode()
        )
        written += 1
    return {"day": day, "written": written}


def all_accounts() -> list[Json]:
    pages = dynamodb.meta.client.get_paginator("scan").paginate(TableName=Table.Accounts.table_name)
    return [account for page in pages for account in page["Items"]]
