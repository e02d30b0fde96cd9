import os

import boto3


def handle(event, context):
    records = event.get("Records", [event])
    first = records[0]
    source = first.get("eventSource") or first["source"]
    results = boto3.resource("dynamodb").Table(os.environ["RESULTS"])
    results.put_item(Item={"id": source, "records": len(records)})
