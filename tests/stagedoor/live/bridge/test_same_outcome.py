"""One suite of handlers, run by AWS's runtime client without a bridge and behind one whose relay has nobody."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stagedoor.live.bridge.conftest import HANDLERS, LAMBDA
from tests.stagedoor.live.bridge.relay import ScriptedRelay, deployed
from tests.stagedoor.live.bridge.sandbox import Sandbox

CALLS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"do": "echo", "text": "é \u2028 \x00 \U0001f6aa", "number": 1.5}, {}),
    ({"do": "context"}, {}),
    (
        {"do": "context"},
        {
            "Lambda-Runtime-Client-Context": '{"custom": {"a": "b"}}',
            "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}',
            "Lambda-Runtime-Aws-Tenant-Id": "tenant-1",
            "Lambda-Runtime-Invocation-Id": "answer-with-this",
        },
    ),
    ({"do": "raises"}, {}),
    ({"do": "deep", "length": 300_000}, {}),
    ({"do": "unserializable"}, {}),
    ({"do": "no such handler"}, {}),
    ({"do": "logs"}, {}),
    ({"do": "large", "bytes": 5_900_000}, {}),
    ({"do": "large", "bytes": 6_500_000}, {}),
    ({"do": "echo", "after": "one that was too large"}, {}),
    ({"do": "extension"}, {}),
    ({"do": "exits", "status": 3}, {}),
    ({"do": "crashes", "status": 0}, {}),
    ({"do": "killed"}, {}),
    ({"do": "sleeps", "seconds": 60}, {}),
    ({"do": "echo", "after": "all of that"}, {}),
]


@pytest.fixture(scope="session")
def direct(awslambdaric: Path) -> tuple[list[Any], str]:
    """What the calls come to without a bridge, and what they log."""
    environment = {**LAMBDA, "_HANDLER": "app.any_of"}
    command = [str(awslambdaric), "-m", "awslambdaric", "app.any_of"]
    with Sandbox(command, environment, code=HANDLERS, timeout_s=2) as sandbox:
        return called(sandbox)


def called(sandbox: Sandbox) -> tuple[list[Any], str]:
    """Make the calls; return their outcomes and the log, less what differs between any two runs."""
    assert sandbox.init() == "ready"
    outcomes = []
    for event, headers in CALLS:
        outcome = sandbox.invoke(event, headers=headers)
        sent = {
            name.lower(): value
            for name, value in outcome.headers.items()
            if name.lower() not in {"host", "connection", "content-length", "user-agent", "accept"}
        }
        outcomes.append((event["do"], outcome.error, plain(outcome.payload.decode()), sent))
    return outcomes, plain(sandbox.log)


def plain(text: str) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\[\d{13}\]", "[MS]", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)


def test_every_handler_ends_the_same_with_a_bridge_before_it(
    direct: tuple[list[Any], str], bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    relay.live, relay.otherwise = False, deployed
    outcomes, log = called(bridged("app.any_of", timeout=2))
    for ours, theirs in zip(outcomes, direct[0], strict=True):
        if ours[0] == "sleeps":  # it is the bridge that says so, as an error of its own
            ours[3].clear()
        assert ours == theirs
    timed_out = "TIME ID Task timed out after 2.00 seconds\n\n"  # Lambda writes this line itself
    assert timed_out in log
    assert log.replace(timed_out, "") == direct[1]
    assert len(relay.asked) == len(CALLS)


def test_an_initialization_that_fails_is_reported_as_lambda_does(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay, awslambdaric: Path
):
    relay.live, relay.otherwise = False, deployed
    for handler in ("broken.handler", "app.no_such_handler", "leaves.handler"):
        command = [str(awslambdaric), "-m", "awslambdaric", handler]
        with Sandbox(command, {**LAMBDA, "_HANDLER": handler}, code=HANDLERS) as alone:
            wanted = (alone.init(), [plain(error.payload.decode()) for error in alone.init_errors])
            first = plain(alone.invoke({}).payload.decode())
        sandbox = bridged(handler)
        assert (sandbox.init(), [plain(error.payload.decode()) for error in sandbox.init_errors]) == wanted
        assert plain(sandbox.invoke({}).payload.decode()) == first


def test_an_initialization_that_fails_when_a_developer_has_just_gone_is_that_invocations_error(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    sandbox = bridged("broken.handler")
    assert sandbox.init() == "ready"  # somebody is there: nothing of the deployed code is loaded
    relay.otherwise = deployed
    for _ in range(2):
        outcome = sandbox.invoke({})
        assert outcome.error == "Unhandled"
        assert outcome.document["errorType"] == "Runtime.ImportModuleError"
        assert outcome.headers["Lambda-Runtime-Function-Error-Type"] == "Runtime.ImportModuleError"
