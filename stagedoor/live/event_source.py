"""What an event is, in the few words that a person knows it by: `GET /notes`, `SQS jobs, 3 records`.

The shapes are those of https://docs.aws.amazon.com/lambda/latest/dg/lambda-services.html and its pages on each service.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

_READ_BYTES = 256 * 1024
"""Longer events are not read: that would take milliseconds, and the words are for the eye alone."""

_WORDS = 120


def event_source(event: bytes) -> str:
    """Return in a few words where an event comes from; what cannot be told is an `event`."""
    if len(event) > _READ_BYTES:
        return f"event of {len(event) / 1e6:.1f} MB"
    try:
        document = json.loads(event)
    except (ValueError, RecursionError):
        return "event"
    try:
        words = _words(document) if isinstance(document, dict) else "event"
    except (AttributeError, IndexError, KeyError, TypeError):  # of a shape that only looked known
        words = "event"
    return "".join(letter if letter.isprintable() else " " for letter in words)[:_WORDS]


def _words(event: Mapping[str, Any]) -> str:
    context = event.get("requestContext")
    if isinstance(context, dict):
        return _request(event, context)
    records = event.get("Records")
    if isinstance(records, list) and records:
        return _records(records)
    if "detail-type" in event and "source" in event:
        return _bridge(event)
    for known in (_stream, _cognito, _others):
        if words := known(event):
            return words
    return "event"


def _request(event: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """HTTP APIs and function URLs (`http`), WebSocket APIs (`routeKey` alone), REST APIs and load balancers."""
    if "http" in context:
        return f"{context['http']['method']} {event.get('rawPath') or context['http']['path']}"
    if "connectionId" in context:
        return f"WebSocket {context['routeKey']}"
    if "httpMethod" in event:
        by = " (load balancer)" if "elb" in context else ""
        return f"{event['httpMethod']} {event['path']}{by}"
    return "event"


def _records(records: list[Any]) -> str:
    first = records[0]
    source = first.get("eventSource") or first.get("EventSource") or ("cloudfront" if "cf" in first else "")
    number = "1 record" if len(records) == 1 else f"{len(records)} records"
    return _RECORDS[source](first, number) if source in _RECORDS else f"{source or 'event'}, {number}"


_RECORDS: Mapping[str, Callable[[Any, str], str]] = {
    "aws:codecommit": lambda one, _: f"CodeCommit {_last(one['eventSourceARN'])}",
    "aws:dynamodb": lambda one, number: f"DynamoDB {one['eventSourceARN'].split('/')[1]}, {number}",
    "aws:kinesis": lambda one, number: f"Kinesis {one['eventSourceARN'].rpartition('/')[2]}, {number}",
    "aws:s3": lambda one, _: f"S3 {one['eventName']} {one['s3']['bucket']['name']}/{one['s3']['object']['key']}",
    "aws:ses": lambda one, _: f"mail {one['ses']['mail']['messageId']}",
    "aws:sns": lambda one, _: f"SNS {_last(one['Sns']['TopicArn'])}",
    "aws:sqs": lambda one, number: f"SQS {_last(one['eventSourceARN'])}, {number}",
    "cloudfront": lambda one, _: f"CloudFront {one['cf']['config']['eventType']}",
}


def _bridge(event: Mapping[str, Any]) -> str:
    """EventBridge: a schedule is one of its own events, and names its rule."""
    if event["detail-type"] == "Scheduled Event":
        rules = event.get("resources") or [""]
        return f"schedule {rules[0].rpartition('/')[2]}".rstrip()
    return f"{event['source']} {event['detail-type']}"


def _stream(event: Mapping[str, Any]) -> str:
    """Kafka and MQ, whose records come in batches by topic or queue; Firehose; log groups."""
    records = event.get("records")
    match event.get("eventSource"):
        case "aws:kafka" | "SelfManagedKafka":
            batches = records.values() if isinstance(records, dict) else ()
            topics = sorted({batch[0]["topic"] for batch in batches if batch})
            return f"Kafka {', '.join(topics)}, {sum(map(len, batches))} records"
        case "aws:mq" | "aws:rmq":
            return f"MQ {_last(event['eventSourceArn'])}"
        case "aws:docdb":
            return f"DocumentDB {_last(event['eventSourceArn'])}"
    if "deliveryStreamArn" in event:
        return f"Firehose {event['deliveryStreamArn'].rpartition('/')[2]}, {len(records or [])} records"
    return "CloudWatch Logs" if isinstance(event.get("awslogs"), dict) else ""


def _cognito(event: Mapping[str, Any]) -> str:
    return f"Cognito {event['triggerSource']}" if "userPoolId" in event and "triggerSource" in event else ""


def _others(event: Mapping[str, Any]) -> str:
    """Authorizers, AppSync, custom resources, alarms, and what a person sends by hand."""
    if "methodArn" in event or "routeArn" in event:
        return f"authorizer of {(event.get('methodArn') or event['routeArn']).partition('/')[2]}"
    if isinstance(event.get("info"), dict) and "fieldName" in event["info"]:
        return f"AppSync {event['info']['parentTypeName']}.{event['info']['fieldName']}"
    if "RequestType" in event and "ResponseURL" in event:
        return f"custom resource, {event['RequestType']}"
    if "alarmArn" in event:
        return f"alarm {event['alarmData']['alarmName']}"
    return "event"


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]
