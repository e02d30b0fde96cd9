"""What a bridge does with what a relay says, and when it says nothing: docs/live.md, "Bridge and relay"."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.stagedoor.live.bridge.conftest import wrapper_of
from tests.stagedoor.live.bridge.relay import (
    BEAT,
    CUSTODY,
    FAILED,
    RESULT,
    ROUTED,
    WANTED,
    Asked,
    ScriptedRelay,
    Step,
    deployed,
    echo,
)
from tests.stagedoor.live.bridge.sandbox import Sandbox

HEADERS = {"Lambda-Runtime-Client-Context": '{"custom":{"stagedoor-developer":"ada"}}'}


async def cut(asked: Asked) -> None:
    asked.cut()


async def cut_in_custody(asked: Asked) -> None:
    await asked.say(ROUTED, {"session": "s9", "developer": "ada"})
    await asked.say(CUSTODY)
    asked.cut()


async def cut_in_the_result(asked: Asked) -> None:
    await asked.say(RESULT, {"kind": "response", "headers": {}, "size": 1000})
    asked.cut()


def answering(status: int, **headers: str) -> Step:
    async def step(asked: Asked) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return step


def test_what_the_relay_is_told_of_an_attempt_and_of_the_sandbox(bridged: Callable[..., Sandbox], relay: ScriptedRelay):
    async def unknown_sandbox(asked: Asked) -> None:
        await asked.say(WANTED, {"event": False, "sandbox": True})

    relay.steps = [unknown_sandbox]
    sandbox = bridged("app.any_of", timeout=3)
    before = time.time()
    assert sandbox.invoke(raw=b'{"not parsed" :  1}', headers=HEADERS).payload == b'{"not parsed" :  1}'
    first, second = relay.asked
    assert first.attempt == second.attempt
    request_id, _, attempt = first.attempt.partition(".")
    assert len(attempt) == 8
    assert first.headers["Lambda-Runtime-Aws-Request-Id"] == request_id
    assert first.headers["Lambda-Runtime-Client-Context"] == HEADERS["Lambda-Runtime-Client-Context"]
    assert first.headers["Lambda-Runtime-Trace-Id"].startswith("Root=1-")
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Stagedoor-Size"] == "19"
    assert before + 3 <= int(first.headers["Stagedoor-Deadline-Ms"]) / 1e3 <= time.time() + 3
    assert int(first.headers["Lambda-Runtime-Deadline-Ms"]) / 1e3 > before + 50
    assert "Stagedoor-Again" not in second.headers
    assert "Stagedoor-Session" not in second.headers
    told = relay.sandboxes[second.headers["Stagedoor-Sandbox"]]
    assert told["credentials"] == {
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "secret/of+the=function",
        "Token": "token+/==",
    }
    assert (told["function"], told["memory_mb"], told["runtime"]) == ("notes", 256, "python3.13")
    assert told["environment"]["TABLE"] == "notes-table"
    assert not [name for name in told["environment"] if "STAGEDOOR" in name or "KEY" in name or "WRAPPER" in name]
    assert len(relay.tokens) == 1
    assert len(relay.connections) == 1  # all of it on one


def test_results_and_errors_are_posted_as_the_runtime_at_the_other_end_posted_them(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    body = json.dumps(
        {"errorType": "Boom", "errorMessage": "é \u2028", "stackTrace": ["a"]}, ensure_ascii=False
    ).encode()
    cause = json.dumps({"exceptions": [{"message": "x" * 200_000}]})

    async def error(asked: Asked) -> None:
        headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": "Boom"}
        headers |= {"Lambda-Runtime-Function-XRay-Error-Cause": cause, "X-Other": "no", "Transfer-Encoding": "chunked"}
        await asked.result(body, "error", **headers)

    async def binary(asked: Asked) -> None:
        await asked.result(bytes(range(256)) * 24_000, Content_Type="application/octet-stream")

    async def failed(asked: Asked) -> None:
        await asked.say(ROUTED, {"session": "s1", "developer": "ada"})
        await asked.say(FAILED, {"type": "Stagedoor.AgentGone", "message": "ada's agent is gone."})

    async def too_large(asked: Asked) -> None:
        await asked.result(b'"' + b"x" * 7_000_000 + b'"')

    relay.steps = [error, binary, failed, too_large, echo]
    sandbox = bridged("app.any_of")
    outcome = sandbox.invoke({}, headers={"Lambda-Runtime-Invocation-Id": "i-1"})
    assert (outcome.error, outcome.payload) == ("Unhandled", body)
    assert outcome.headers["Lambda-Runtime-Function-Error-Type"] == "Boom"
    assert outcome.headers["Lambda-Runtime-Function-XRay-Error-Cause"] == cause
    assert outcome.headers["Lambda-Runtime-Invocation-Id"] == "i-1"
    assert "X-Other" not in outcome.headers
    outcome = sandbox.invoke({})
    assert outcome.payload == bytes(range(256)) * 24_000
    assert outcome.headers["Content-Type"] == "application/octet-stream"
    outcome = sandbox.invoke({})
    assert outcome.document == {"errorType": "Stagedoor.AgentGone", "errorMessage": "ada's agent is gone."}
    assert sandbox.invoke({}).document["errorType"] == "Function.ResponseSizeTooLarge"
    assert sandbox.invoke({"goes": "on"}).document == {"goes": "on"}


def test_six_megabytes_are_sent_when_they_are_asked_for(bridged: Callable[..., Sandbox], relay: ScriptedRelay):
    sandbox = bridged("app.any_of")
    event = b'"' + os.urandom(3_000_000).hex().encode() + b'"'
    assert sandbox.invoke(raw=event).payload == event
    assert [(len(asked.event), "Stagedoor-Again" in asked.headers) for asked in relay.asked] == [
        (0, False),
        (len(event), False),
    ]


def test_what_breaks_is_asked_again_and_deployed_code_never_answers_it(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    relay.steps = [cut, cut_in_custody, cut_in_the_result, answering(500), answering(502), echo]
    sandbox = bridged("app.any_of")
    assert sandbox.invoke({"a": 1}).document == {"a": 1}
    assert len({asked.attempt for asked in relay.asked}) == 1
    assert [asked.headers.get("Stagedoor-Again") for asked in relay.asked] == [None, "1", "2", "3", "4", "5"]
    assert len({asked.headers["Stagedoor-Deadline-Ms"] for asked in relay.asked}) == 1
    assert [asked.headers.get("Stagedoor-Session") for asked in relay.asked] == [None, None, "s9", "s9", "s9", "s9"]


def test_a_relay_that_is_under_pressure_or_drains_is_asked_again_as_if_for_the_first_time(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    relay.steps = [answering(429, Retry_After="0.2"), answering(503, Retry_After="0"), answering(401), echo]
    sandbox = bridged("app.any_of")
    start = time.monotonic()
    assert sandbox.invoke({"a": 1}).document == {"a": 1}
    assert time.monotonic() - start >= 0.2
    assert [asked.headers.get("Stagedoor-Again") for asked in relay.asked] == [None] * 4
    assert len(relay.tokens) == 2
    connections = [asked.request.transport for asked in relay.asked]
    assert connections[1] is not connections[2]  # what drains is left alone


@pytest.mark.parametrize("answer", [answering(404), answering(413), answering(503), deployed])
def test_deployed_code_answers_what_the_relay_does_not_take(
    answer: Step, bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    relay.otherwise = answer
    sandbox = bridged("app.any_of")
    assert sandbox.invoke({"do": "context"}).document["name"] == "notes"
    assert sandbox.invoke({"do": "echo"}).document == {"do": "echo"}
    assert len(relay.asked) == (2 if answer is deployed else 1)  # a relay that refuses is left alone for 5 s


def test_deployed_code_answers_where_the_relay_cannot_be_reached_or_gives_no_token(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and has no TLS to offer
        servers = [f"http://127.0.0.1:{closed}", "http://no.invalid", f"https://127.0.0.1:{mute.getsockname()[1]}"]
        for server in servers:
            sandbox = bridged("app.any_of", STAGEDOOR_LIVE_SERVER=server)
            start = time.monotonic()
            assert sandbox.invoke({"do": "echo"}).document == {"do": "echo"}
            assert time.monotonic() - start < 3
            assert "stagedoor: the deployed code answers: " in sandbox.log
    relay.token_answers = [web.Response(status=403, text="not registered")]
    sandbox = bridged("app.any_of")
    assert sandbox.invoke({"do": "echo"}).document == {"do": "echo"}
    assert (len(relay.tokens), len(relay.asked)) == (1, 0)


async def beats(asked: Asked) -> None:
    """Take longer than the bridge bears silence, but be heard meanwhile."""
    for _ in range(4):
        await asked.say(BEAT)
        await asyncio.sleep(1.8)
    await echo(asked)


async def silent(asked: Asked) -> None:
    await asked.say(CUSTODY)
    await asyncio.sleep(60)


@pytest.mark.parametrize("wrapper", ["python"], indirect=True)
def test_a_beat_is_a_sign_of_life_silence_is_a_cut_and_a_long_cut_ends_the_attempt_with_an_error(
    bridged: Callable[..., Sandbox], layer: Path, tmp_path: Path
):
    """All of it at once, in both languages, for it takes seconds."""
    wrappers = {language: wrapper_of(language, layer, tmp_path) for language in ("python", "node")}

    def outcome(language: str, step: Step | None) -> tuple[float, dict[str, Any], list[str | None]]:
        async def gone(asked: Asked) -> None:
            await asked.say(CUSTODY)
            asyncio.get_running_loop().create_task(relay.stop())

        with ScriptedRelay(steps=[step or gone]) as relay:
            named = {"AWS_LAMBDA_EXEC_WRAPPER": wrappers[language]}
            sandbox = bridged("app.any_of", timeout=60, STAGEDOOR_LIVE_SERVER=relay.url, **named)
            sandbox.init()
            start = time.monotonic()
            document = sandbox.invoke({"a": 1}).document
            took = time.monotonic() - start
            if not step:
                relay.run(relay.start())
                assert sandbox.invoke({"back": 1}).document == {"back": 1}
            return took, document, [asked.headers.get("Stagedoor-Again") for asked in relay.asked[:2]]

    with ThreadPoolExecutor(6) as threads:
        both = {
            language: [threads.submit(outcome, language, step) for step in (beats, silent, None)]
            for language in wrappers
        }
    for outcomes in both.values():
        beaten, cut_off, disconnected = (future.result() for future in outcomes)
        assert beaten[1:] == ({"a": 1}, [None])
        assert cut_off[1:] == ({"a": 1}, [None, "1"])
        assert 6 <= cut_off[0] < 8
        assert disconnected[1]["errorType"] == "Stagedoor.Disconnected"
        assert 8 <= disconnected[0] < 11


def test_a_connection_that_was_closed_while_the_sandbox_was_frozen_costs_nothing(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    sandbox = bridged("app.any_of")
    assert sandbox.invoke({"a": 1}).document == {"a": 1}
    os.killpg(sandbox.process.pid, 19)  # SIGSTOP
    for transport in relay.connections:
        relay.run(_abort(transport))
    os.killpg(sandbox.process.pid, 18)  # SIGCONT
    assert sandbox.invoke({"a": 2}).document == {"a": 2}
    assert [asked.headers.get("Stagedoor-Again") for asked in relay.asked] == [None, None]


async def _abort(transport: asyncio.Transport) -> None:
    transport.close()


def test_a_token_is_renewed_before_it_ends(bridged: Callable[..., Sandbox], relay: ScriptedRelay):
    relay.expires_in = 1
    sandbox = bridged("app.any_of")
    assert sandbox.init() == "ready"
    assert len(relay.tokens) == 1
    time.sleep(0.5)
    sandbox.invoke({})
    assert len(relay.tokens) == 2
    assert not [asked for asked in relay.asked if asked.headers["Authorization"] != "Bearer token-2"]


@pytest.mark.parametrize("says", [True, False])
def test_whether_somebody_is_there_comes_with_the_token_else_it_is_asked(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay, says: bool
):
    relay.says_live, relay.live, relay.otherwise = says, False, deployed
    sandbox = bridged("broken.handler")
    assert sandbox.init() != "ready"  # nobody is there, so it was loaded
    assert relay.presences == (0 if says else 1)
