"""A push that changes only a function's code goes straight to the function, on the local AWS and the local GitHub."""

import json

import boto3
from sqlalchemy import select

from service.models import Run, RunStep, StageStack
from tests.service.stages import tiny_app
from tests.service.stages.test_reconcile import live

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}


def template(word: str) -> dict[str, str]:
    """Return the app's file with a function that answers the word."""
    policy = {"Version": "2012-10-17", "Statement": [TRUST]}
    function = {
        "Code": {"ZipFile": f"def handler(event, context): return {word!r}"},
        "Handler": "index.handler",
        "Runtime": "python3.12",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
    }
    body = json.loads(tiny_app.template("same"))
    body["Resources"] |= {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": policy}},
        "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
    }
    return {"tiny.template.json": json.dumps(body)}


def answer() -> str:
    client = boto3.Session().client("lambda")
    (function,) = client.list_functions()["Functions"]
    return str(json.loads(client.invoke(FunctionName=function["FunctionName"])["Payload"].read()))


def swapped(house, source) -> list[str]:
    with house.parts.sessions() as session:
        rows = session.scalars(select(StageStack).where(StageStack.stage_id == house.stage(source).id))
        return [logical_id for row in rows for logical_id in row.drift.get("swapped", {})]


def last_operation(house, source):
    with house.parts.sessions() as session:
        steps = select(RunStep).join(Run, RunStep.run_id == Run.id).where(Run.stage_id == house.stage(source).id)
        return session.scalars(steps.order_by(RunStep.id.desc())).first().operation


def comment(house, source) -> str:
    (only,) = house.github.comments(house.repository, house.number(source))
    return str(only["body"])


def test_pushed_pushed_back_and_changed_otherwise(live_house):
    house = live_house
    source = live(house)
    for word, way in (("one", "execute-change-set"), ("two", "hotswap"), ("one", "hotswap"), ("two", "hotswap")):
        house.push(source, template(word))
        house.reconcile(source)
        assert (answer(), last_operation(house, source)) == (word, way)
        assert swapped(house, source) == (["Function"] if word == "two" else [])
        assert ("Code swapped in place" in comment(house, source)) == (way == "hotswap")

    head = house.push(source, {"README.md": "words"})
    house.reconcile(source)
    assert house.outcomes(source)[-1] == ("deploy", "unchanged")
    assert (house.stage(source).live_commit, swapped(house, source)) == (head, ["Function"])
    house.github.close(house.repository, house.number(source))
    house.reconcile(source)
    assert swapped(house, source) == []
