"""The agent on a connection that breaks, drains and refuses: nothing is lost, and nothing runs twice."""

import asyncio
import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from stagedoor.errors import UserError
from stagedoor.live import custody, tunnel
from stagedoor.live.agent_events import Connected, Cut, InvocationFinished, InvocationStarted, LogLine
from stagedoor.live.frames import Frame, FrameType, head_frame, session_frame
from tests.stagedoor.live.agent.conftest import PYTHON, Connect

AT_WORK = {"f": "at_work.handler"}
ROOT = Path(__file__).parents[4]


def test_an_invocation_from_its_event_to_its_result_and_what_is_told_of_it(live: Connect) -> None:
    async def scenario() -> None:
        async with live({"f": "fidelity.handler"}, environment={"AWS_LAMBDA_LOG_LEVEL": "INFO"}) as stage:
            result = await stage.invoke({"do": "logs"})
            assert (result.kind, result.body, result.headers["Content-Type"]) == (
                "response",
                b"null",
                "application/json",
            )
            assert result.head["started_ms"] <= result.head["ended_ms"]
            kinds = [type(event) for event in stage.events if isinstance(event, InvocationStarted | InvocationFinished)]
            assert kinds == [InvocationStarted, InvocationFinished]
            attempt = stage.said(InvocationStarted)[0].attempt
            lines = [(line.attempt, line.text, line.level) for line in stage.said(LogLine)]
            assert lines[0] == (None, "loading", None)
            assert lines[1:4] == [(attempt, "a line", None), (attempt, "two", None), (attempt, "lines", None)]
            assert [level for _, _, level in lines[4:7]] == ["WARNING", "ERROR", "ERROR"]
            await stage.invoke({"do": "prints_no_end"})
            assert stage.said(LogLine)[-1].text == "no end of line"
            failed = await stage.invoke({"do": "raises"})
            assert stage.said(InvocationFinished)[-1].error == failed.document
        assert stage.relay.farewell

    asyncio.run(scenario())


def test_many_and_large_ones_share_the_connection(live: Connect) -> None:
    """Six megabytes wait for credit; the small ones do not wait for them."""

    async def scenario() -> None:
        async with live(AT_WORK, concurrency=4) as stage:
            text = "é\u2028\0" * 400_000
            event = json.dumps({"text": text, "back": True}, ensure_ascii=False).encode()
            large = [asyncio.create_task(stage.invoke(event, timeout_s=60)) for _ in range(2)]
            small = await asyncio.gather(*(stage.invoke({"text": "x"}) for _ in range(20)))
            assert {result.document["size"] for result in small} == {1}
            for result in await asyncio.gather(*large):
                assert result.document["text"] == text

    asyncio.run(scenario())


def test_a_cut_loses_nothing_and_runs_nothing_twice(live: Connect, tmp_path) -> None:
    """The connection is cut at any moment; the relay does what it must: offers again what was not listed."""
    ran = tmp_path / "ran"

    async def scenario() -> None:
        async with live(AT_WORK, concurrency=8) as stage:
            relay, chance = stage.relay, random.Random(7)
            events = {
                f"r{number}.00000001": json.dumps(
                    {"mark": str(ran), "name": f"r{number}", "ms": 20, "text": "x" * chance.choice([1, 200_000])}
                ).encode()
                for number in range(60)
            }
            for attempt, event in events.items():
                await relay.offer("f", event, attempt=attempt, sandbox=stage.sandbox)
                if chance.random() < 0.2:
                    await asyncio.sleep(chance.random() / 20)
                    await relay.cut()
                    await relay.connected.wait()
                    await again(stage, events)
            while left := [attempt for attempt, result in relay.results.items() if not result.done()]:
                _, late = await asyncio.wait([relay.results[attempt] for attempt in left], timeout=3)
                if late:
                    await again(stage, events)
            assert sorted(ran.read_text().split()) == sorted(attempt.partition(".")[0] for attempt in events)
            assert stage.said(Cut)
            assert any(event.resumed for event in stage.said(Connected))

    async def again(stage, events) -> None:
        for attempt, result in stage.relay.results.items():
            if not result.done():
                if attempt in stage.relay.hellos[-1]["known"]:
                    await stage.relay.bind(attempt)
                else:
                    await stage.relay.offer("f", events[attempt], attempt=attempt, sandbox=stage.sandbox)

    asyncio.run(scenario())


def test_an_attempt_that_was_done_and_forgotten_is_never_run_again(live: Connect, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(custody, "KEPT_SECONDS", 0.0)
    ran = tmp_path / "ran"

    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            event = {"mark": str(ran), "name": "once"}
            await stage.invoke(event, attempt="r.00000001")
            await stage.until(lambda: (stage.agent._custody.forget(1e12), stage.agent._custody.known() == {})[1])
            del stage.relay.results["r.00000001"]
            again = await stage.invoke(event, attempt="r.00000001")
            assert (again.kind, again.document["errorType"]) == ("error", "Stagedoor.ResultForgotten")
            assert ran.read_text() == "once\n"

    asyncio.run(scenario())


def test_a_relay_that_drains_gets_a_second_connection_and_keeps_the_first_till_it_is_done(live: Connect) -> None:
    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            slow = asyncio.create_task(stage.invoke({"ms": 600}))
            await stage.until(lambda: stage.said(InvocationStarted))
            old = stage.relay.wire
            await stage.relay.send(session_frame(FrameType.DRAIN, {"seconds": 5}))
            await stage.until(lambda: stage.relay.wire is not old)
            assert not old.socket.closed
            assert stage.relay.hellos[1]["session"] == "session1"
            assert list(stage.relay.hellos[1]["known"].values()) == ["running"]
            assert (await stage.invoke({})).kind == "response"
            assert (await slow).kind == "response"
            await old.socket.close()
            assert (await stage.invoke({})).kind == "response"
            assert not stage.said(Cut)

    asyncio.run(scenario())


def test_what_is_not_here_is_refused(live: Connect) -> None:
    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            elsewhere = await stage.relay.offer("another", b"{}")
            await stage.until(lambda: elsewhere in stage.relay.refused)
            stage.relay.wire.attempts[900] = "lost.1"
            unknown = head_frame(FrameType.INVOKE, 900, {"attempt": "lost.1", "known": True, "size": 0})
            await stage.relay.send(unknown)
            await stage.until(lambda: "lost.1" in stage.relay.refused)

    asyncio.run(scenario())


def test_an_attempt_that_nobody_waits_for_before_it_begins_is_never_run(live: Connect, tmp_path) -> None:
    ran = tmp_path / "ran"

    async def scenario() -> None:
        async with live(AT_WORK, concurrency=1) as stage:
            slow = asyncio.create_task(stage.invoke({"ms": 300}))
            await stage.until(lambda: stage.said(InvocationStarted))
            event = json.dumps({"mark": str(ran), "name": "cancelled"}).encode()
            waiting = await stage.relay.offer("f", event, sandbox=stage.sandbox)
            await stage.until(lambda: waiting in stage.relay.custody)
            stream = next(number for number, attempt in stage.relay.wire.attempts.items() if attempt == waiting)
            await stage.relay.send(Frame(FrameType.CANCEL, stream, b'{"reason": "the sandbox is gone"}'))
            await slow
            assert (await stage.invoke({"mark": str(ran), "name": "next"})).kind == "response"
            assert ran.read_text() == "next\n"

    asyncio.run(scenario())


def test_a_token_is_asked_for_anew_when_it_is_not_taken_and_replaced_in_band(live: Connect) -> None:
    async def tokens(renew: bool) -> str:
        return "good" if renew else "stale"

    async def scenario() -> None:
        async with live(AT_WORK, tokens=never, concurrency=1) as stage:
            stage.relay.refuse_token = "nothing"
            await stage.relay.send(session_frame(FrameType.TOKEN, {"token": "in band", "expires_in": 3600}))
            assert (await stage.invoke({})).kind == "response"
            await stage.relay.cut()
            await stage.relay.connected.wait()
            assert stage.relay.tokens[-1] == "Bearer in band"

    async def never(renew: bool) -> str:
        return await tokens(True)

    asyncio.run(scenario())


def test_who_is_not_let_in_or_is_sent_away_is_told_so(live: Connect) -> None:
    async def refused() -> None:
        async with live(AT_WORK) as stage:
            stage.relay.refuse_token = "a stage token"
            await stage.relay.cut()
            with pytest.raises(tunnel.TunnelRefused) as error:
                await asyncio.wait_for(asyncio.shield(stage.running), 10)
            assert "stagedoor login" in error.value.remedy

    async def sent_away() -> None:
        async with live(AT_WORK) as stage:
            await stage.relay.send(session_frame(FrameType.FAREWELL, {"reason": "The stage was removed."}))
            with pytest.raises(tunnel.SessionEnded) as error:
                await asyncio.wait_for(asyncio.shield(stage.running), 10)
            assert error.value.what == "The stage was removed."

    for scenario in (refused, sent_away):
        with pytest.raises(UserError):
            asyncio.run(scenario())


AGENT = """
import asyncio, sys
from pathlib import Path
from stagedoor.live.agent import Agent
from stagedoor.live.functions import LiveFunction
from stagedoor.live.python_worker.command import PythonCommands
url, root, cache = sys.argv[1:]
async def token(_): return "t"
function = LiveFunction("f", "at_work.handler", "python3.12", Path(root), Path(sys.executable))
asyncio.run(Agent(url, token, {"f": function}, PythonCommands(Path(cache))).run())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="processes are looked at through /proc")
def test_workers_end_with_an_agent_that_is_killed(live: Connect, commands_cache) -> None:
    """Idle ones, one in a handler, and the spare: none goes on for an agent that is not there."""

    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            old = stage.relay.wire
            handlers = str(Path(__file__).parent / "handlers")
            agent = subprocess.Popen([PYTHON, "-c", AGENT, stage.relay.url, handlers, commands_cache], cwd=ROOT)
            try:
                await stage.until(lambda: stage.relay.wire is not old)
                await stage.invoke({})
                await stage.relay.offer("f", b'{"ms": 60000}', timeout_s=60)
                await stage.until(lambda: len(children(agent.pid)) >= 2)
                await asyncio.sleep(0.5)
                workers = children(agent.pid)
            finally:
                agent.send_signal(signal.SIGKILL)
                agent.wait()
            await stage.until(lambda: not [pid for pid in workers if Path(f"/proc/{pid}/cwd").exists()], 5)

    asyncio.run(scenario())


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]
