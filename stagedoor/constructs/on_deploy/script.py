"""Scripts: a function of the app's own is called when its stage is created, updated or deleted."""

import json
from collections.abc import Mapping
from typing import Any

from stagedoor.constructs.on_deploy.cloudformation import answered

_LAMBDAS_LONGEST = 900


class ScriptFailed(Exception):
    """The script raised an error; the message is what CloudFormation tells."""


def handle(event: Mapping[str, Any], context: Any) -> None:
    """Answer CloudFormation's request about a script."""
    answered(event, context, _run)


def _run(event: Mapping[str, Any]) -> str:
    said = event["ResourceProperties"]
    kind = event["RequestType"].lower()
    function = said["Functions"].get(kind)
    if function:
        _call(function, {"type": kind, "params": json.loads(said["Params"])}, kind)
    return f"script {event['LogicalResourceId']}"


def _call(function: str, event: Mapping[str, Any], kind: str) -> None:
    """Call a function and wait for it. Raises `ScriptFailed` for an error of its own."""
    import boto3
    from botocore.config import Config

    # A second call would run the script twice.
    patient = Config(read_timeout=_LAMBDAS_LONGEST, retries={"total_max_attempts": 1})
    answer = boto3.client("lambda", config=patient).invoke(FunctionName=function, Payload=json.dumps(event).encode())
    if "FunctionError" not in answer:
        return
    told = json.loads(answer["Payload"].read() or b"{}")
    error = told.get("errorType", "Error")
    raise ScriptFailed(f"on_{kind} failed: {error}: {told.get('errorMessage', 'no message')}")
