"""What a function sees and what its caller gets: the same as from awslambdaric without us.

Each case runs twice: in awslambdaric itself, on the tests' own Runtime API that follows Lambda's to the letter, and
through the tunnel. Only ids, times and the number of a process may differ.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping

import pytest

from stagedoor.live.workers.output import Output
from tests.stagedoor.live.agent.conftest import HANDLERS, PYTHON, Connect
from tests.stagedoor.live.bridge.sandbox import Outcome, Sandbox

ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[7]0123", "TZ": ":UTC",
    "AWS_REGION": "eu-west-1", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "NOTES_TABLE": "notes",
    "LANG": "C.UTF-8", "STAGEDOOR_LIVE_TIMEOUT": "1",
}  # fmt: skip
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
HEADERS = {
    "Lambda-Runtime-Trace-Id": TRACE,
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:123456789012:function:notes",
}
CONTEXT = {
    "Lambda-Runtime-Client-Context": json.dumps(
        {"custom": {"a": 1}, "client": {"app_title": "Notes"}, "w3c": {"traceparent": "00-1"}}
    ),
    "Lambda-Runtime-Cognito-Identity": json.dumps({"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}),
}

RETURNED = [
    "nan", "infinity", "decimal", "none", "decimal nan", "unicode", "surrogate", "set", "key", "tuple", "odd key",
    "bytes", "inner bytes", "unknown", "text", "false", "big number", "float",
]  # fmt: skip

CASES = [
    ({"do": "echo", "text": "é \u2028 \0 😀", "number": 1e300}, {}),
    ({"do": "echo", "text": "\ud800"}, {}),
    ({"do": "fields"}, {}),
    ({"do": "fields"}, CONTEXT),
    ({"do": "fields"}, {"Lambda-Runtime-Aws-Tenant-Id": "blue"}),
    ({"do": "fields"}, {"Lambda-Runtime-Client-Context": '{"custom": {"a": "é"}}'}),
    ({"do": "fields"}, {"Lambda-Runtime-Client-Context": "{"}),
    ({"do": "fields"}, {"Lambda-Runtime-Cognito-Identity": "nothing"}),
    ({"do": "surroundings"}, {}),
    ({"do": "raises"}, {}),
    ({"do": "raises_nothing_said"}, {}),
    ({"do": "raises_much"}, {}),
    ({"do": "no such thing"}, {}),
    ({"do": "logs"}, {}),
    *[({"do": "returns", "what": what}, {}) for what in RETURNED],
    ({"do": "is_async"}, {}),
    ({"do": "large", "size": 5_000_000}, {}),
    ({"do": "large", "size": 6 * 1024 * 1024 + 100}, {}),
    ({"do": "large", "size": 6 * 1024 * 1024 + 101}, {}),
    ({"do": "exits", "status": 0}, {}),
    ({"do": "exits", "status": 3}, {}),
    ({"do": "exits_at_once", "status": 5}, {}),
    ({"do": "dies", "signal": "SIGKILL"}, {}),
    ({"do": "dies", "signal": "SIGTERM"}, {}),
    (b"{not json", {}),
    (b"\xff\xfe\0", {}),
    (b"", {}),
    (b'{"do": "echo"}', {"Content-Type": "text/plain"}),
    ("just a text", {}),
    (None, {}),
]  # fmt: skip


def test_what_a_handler_sees_and_what_its_caller_gets(live: Connect, commands_cache) -> None:
    """One worker, as one sandbox, has all cases one after the other; those that end it are followed by a cold start."""
    direct = _directly(CASES, "fidelity.handler", commands_cache)
    through = asyncio.run(_through_the_tunnel(live, CASES, "fidelity.handler"))
    for case, one, other in zip(CASES, direct[0], through[0], strict=True):
        assert one == other, case
    assert direct[1] == through[1]


@pytest.mark.parametrize("form", [{"AWS_LAMBDA_LOG_FORMAT": "JSON"}, {"AWS_LAMBDA_LOG_LEVEL": "ERROR"}])
def test_logs_in_the_form_that_the_function_asks_for(live: Connect, commands_cache, form) -> None:
    cases = [({"do": "logs"}, {}), ({"do": "raises"}, {})]
    direct = _directly(cases, "fidelity.handler", commands_cache, form)
    assert direct == asyncio.run(_through_the_tunnel(live, cases, "fidelity.handler", form))


@pytest.mark.parametrize(
    "handler",
    [
        "broken_import.handler",
        "broken_at_load.handler",
        "broken_syntax.handler",
        "fidelity.nothing",
        "nodot",
        "sys.exit",
        "missing.handler",
    ],
)
def test_a_function_that_cannot_be_loaded(live: Connect, commands_cache, tmp_path, handler) -> None:
    """The caller gets the error of the init phase."""
    syntax = HANDLERS / "broken_syntax.py"
    if handler == "broken_syntax.handler":
        syntax.write_text("def handler(event, context)\n    return 1\n")
    try:
        with _sandbox(handler, commands_cache, {}) as sandbox:
            assert sandbox.init() == "init error"
            error, log = sandbox.init_errors[0], _log(_lines(sandbox.output))
        outcomes, lines = asyncio.run(_through_the_tunnel(live, [({}, {})], handler))
    finally:
        if handler == "broken_syntax.handler":
            syntax.unlink()
    assert outcomes[0] == _what_came(error)
    assert lines == log


def test_a_function_that_ends_its_process_while_it_is_loaded(live: Connect) -> None:
    async def scenario() -> None:
        async with live({"f": "exits_at_load.handler"}) as stage:
            result = await stage.invoke({})
            assert result.kind == "error"
            assert result.document["errorType"] == "Runtime.ExitError"
            assert result.document["errorMessage"].endswith("Error: Runtime exited with error: exit status 4")
            assert stage.printed()[0] == "going"

    asyncio.run(scenario())


def test_a_handler_that_is_not_done_in_time(live: Connect, commands_cache) -> None:
    """Its process is ended, the caller gets Lambda's words, and the next event a cold start."""
    with _sandbox("fidelity.handler", commands_cache, {}, timeout_s=1) as sandbox:
        sandbox.init()
        direct = sandbox.invoke({"do": "too_slow"})

    async def scenario() -> None:
        async with live({"f": "fidelity.handler"}, environment=ENVIRONMENT) as stage:
            assert (await stage.invoke({"do": "echo"})).kind == "response"
            result = await stage.invoke({"do": "too_slow"}, timeout_s=1)
            assert (result.kind, _same(result.body)) == ("error", _same(direct.payload))
            assert result.headers["Lambda-Runtime-Function-Error-Type"] == "Sandbox.Timedout"
            assert (await stage.invoke({"do": "echo"})).kind == "response"

    asyncio.run(scenario())


def _directly(cases, handler, cache, more=None):
    with _sandbox(handler, cache, more or {}) as sandbox:
        sandbox.init()
        outcomes = []
        for event, headers in cases:
            raw = event if isinstance(event, bytes) else json.dumps(event).encode()
            outcomes.append(_what_came(sandbox.invoke(raw=raw, headers={**HEADERS, **headers})))
        return outcomes, _log(_lines(sandbox.output))


async def _through_the_tunnel(live: Connect, cases, handler, more=None):
    async with live({"f": handler}, environment={**ENVIRONMENT, **(more or {})}) as stage:
        outcomes = []
        for event, headers in cases:
            sent = {name: value.encode().decode("latin-1") for name, value in {**HEADERS, **headers}.items()}
            result = await stage.invoke(event, headers=sent, timeout_s=60)
            outcomes.append((result.kind, _same(result.body), _cause(result.headers, "latin-1")))
        return outcomes, _log(stage.printed())


def _sandbox(handler, cache, more, **options):
    environment = {
        **ENVIRONMENT,
        "_HANDLER": handler,
        "LAMBDA_TASK_ROOT": str(HANDLERS),
        "_LAMBDA_TELEMETRY_LOG_FD": "1",
        **more,
    }
    environment |= {"PYTHONPATH": str(next(cache.glob("live/python-*"))), "PYTHONDONTWRITEBYTECODE": "1"}
    return Sandbox([str(PYTHON), "-m", "awslambdaric", handler], environment, code=HANDLERS, **options)


def _what_came(outcome: Outcome) -> tuple[str, bytes, bytes]:
    return "error" if outcome.error else "response", _same(outcome.payload), _cause(outcome.headers)


def _cause(headers: Mapping[str, str], encoding: str = "utf-8") -> bytes:
    """Return what X-Ray is told, by whatever case its header has."""
    named = {name.lower(): value for name, value in headers.items()}
    return _same(named.get("lambda-runtime-function-xray-error-cause", "").encode(encoding, "surrogateescape"))


def _lines(output: bytes) -> list[str]:
    reader = Output()
    return [printed.text for printed in [*reader.add(output), *reader.flush()]]


def _log(lines: list[str]) -> list[bytes]:
    """Return what was logged; who called awslambdaric's `main` is left out of tracebacks of its own."""
    theirs = [
        line for line in lines if not re.search(r"worker_main|runpy|runtime\.main|main\(\)|main\(sys|__main__", line)
    ]
    return [_same(line.encode()) for line in theirs]


def _same(body: bytes) -> bytes:
    """Return a body without what differs from run to run: ids, times, addresses."""
    body = re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"ID", body)
    body = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", b"TIME", body)
    body = re.sub(rb"\[\d{13}\]", b"[TIME]", body)
    body = re.sub(rb"(response code: \d+)\. .*", rb"\1", body)
    body = re.sub(rb"0x[0-9a-f]+", b"ADDRESS", body)
    return body if len(body) < 10_000 else hashlib.sha256(body).digest()
