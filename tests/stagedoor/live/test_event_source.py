"""An event in a few words, by shapes as AWS's documentation has them."""

import json
from typing import Any

import pytest

from stagedoor.live.event_source import event_source

QUEUE = "arn:aws:sqs:us-east-1:1:jobs"


def records(source: str, number: int = 1, **more: Any) -> dict[str, Any]:
    return {"Records": [{"eventSource": source, **more}] * number}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"rawPath": "/notes", "requestContext": {"http": {"method": "GET", "path": "/p"}}}, "GET /notes"),
        ({"httpMethod": "POST", "path": "/notes", "requestContext": {"stage": "prod"}}, "POST /notes"),
        ({"httpMethod": "GET", "path": "/", "requestContext": {"elb": {}}}, "GET / (load balancer)"),
        ({"requestContext": {"connectionId": "1", "routeKey": "$connect"}}, "WebSocket $connect"),
        (records("aws:sqs", 3, eventSourceARN=QUEUE), "SQS jobs, 3 records"),
        ({"Records": [{"EventSource": "aws:sns", "Sns": {"TopicArn": "arn:aws:sns:us-east-1:1:news"}}]}, "SNS news"),
        (
            records("aws:s3", eventName="ObjectCreated:Put", s3={"bucket": {"name": "b"}, "object": {"key": "k"}}),
            "S3 ObjectCreated:Put b/k",
        ),
        (records("aws:dynamodb", 2, eventSourceARN="arn:aws:dynamodb:r:1:table/Notes/"), "DynamoDB Notes, 2 records"),
        (records("aws:kinesis", eventSourceARN="arn:aws:kinesis:r:1:stream/clicks"), "Kinesis clicks, 1 record"),
        (
            {"source": "aws.events", "detail-type": "Scheduled Event", "resources": ["arn:x:rule/nightly"]},
            "schedule nightly",
        ),
        ({"source": "shop", "detail-type": "OrderPlaced", "detail": {}}, "shop OrderPlaced"),
        ({"eventSource": "aws:kafka", "records": {"t-0": [{"topic": "t"}, {"topic": "t"}]}}, "Kafka t, 2 records"),
        ({"userPoolId": "p", "triggerSource": "PreSignUp_SignUp"}, "Cognito PreSignUp_SignUp"),
        ({"type": "TOKEN", "methodArn": "arn:aws:execute-api:r:1:api/prod/GET/notes"}, "authorizer of prod/GET/notes"),
        ({"info": {"parentTypeName": "Query", "fieldName": "notes"}}, "AppSync Query.notes"),
        ({"RequestType": "Create", "ResponseURL": "u"}, "custom resource, Create"),
        ({"awslogs": {"data": ""}}, "CloudWatch Logs"),
        ({"any": "thing"}, "event"),
        ([1], "event"),
        ({"Records": [{"eventSource": "aws:s3"}]}, "event"),
        ({"source": "a\n\x1b[31m", "detail-type": "b"}, "a  [31m b"),
    ],
)  # fmt: skip
def test_an_event_is_named_by_its_source(event: Any, words: str) -> None:
    assert event_source(json.dumps(event).encode()) == words


def test_what_is_long_or_no_json_is_not_read() -> None:
    assert event_source(b"[" + b"1," * 3_000_000 + b"1]") == "event of 6.0 MB"
    assert event_source(b"\xff{") == "event"
