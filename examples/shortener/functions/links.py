import json
import secrets
from typing import Any

import boto3

from stagedoor.runtime import Table

Json = dict[str, Any]
links = boto3.resource("dynamodb").Table(Table.Links.table_name)


def shorten(event: Json, context: object) -> Json:
    url = json.loads(event.get("body") or "{}").get("url", "")
    if not url.startswith(("http://", "https://")):
        return answer(400, error='Send {"url": "https://…"}.')
    code = secrets.token_urlsafe(5)
    links.put_item(Item={"code": code, "url": url, "clicks": 0}, ConditionExpression="attribute_not_exists(code)")
    return answer(201, code=code, url=url)


def follow(event: Json, context: object) -> Json:
    try:
        link = links.update_item(
            Key={"code": event["pathParameters"]["code"]},
            UpdateExpression="ADD clicks :one",
            ConditionExpression="attribute_exists(code)",
            ExpressionAttributeValues={":one": 1},
            ReturnValues="ALL_NEW",
        )["Attributes"]
    except links.meta.client.exceptions.ConditionalCheckFailedException:
        return answer(404, error="There is no such link.")
    return {"statusCode": 302, "headers": {"location": link["url"]}}


def stats(event: Json, context: object) -> Json:
    link = links.get_item(Key={"code": event["pathParameters"]["code"]}).get("Item")
    return answer(200, url=link["url"], clicks=link["clicks"]) if link else answer(404, error="No such link.")


def answer(status: int, **body: object) -> Json:
    text = json.dumps(body, default=int)  # DynamoDB's numbers are Decimals
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": text}
