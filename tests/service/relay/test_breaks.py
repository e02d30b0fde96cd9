"""Connections break, agents die, relays restart and drain."""

import asyncio
import time

import aiohttp
import pytest

from service.relay.draining import DrainingServer
from service.relay.sessions import GRACE_SECONDS
from stagedoor.live.frames import FrameType, session_frame
from tests.service.relay.conftest import Door, Peer, outcome, serve_relay


def back(agent, **known):
    return {"session": agent.welcome["session"], "resume": agent.welcome["resume"], "known": known}


def test_a_cut_while_the_handler_runs_loses_nothing(live):
    async def scenario(peer):
        async with peer.agent() as first:
            call = asyncio.create_task(peer.outcome("r-1.00000001", b"[1]"))
            stream, _head, _ = await first.invoked()
            await first.custody(stream)
            await first.cut()
        async with peer.agent(**back(first, **{"r-1.00000001": "running"})) as second:
            assert second.welcome["session"] == first.welcome["session"]
            frame = await second.receive(FrameType.INVOKE)
            assert frame.head() == ({"attempt": "r-1.00000001", "known": True, "size": 0}, b"")
            await second.custody(frame.stream)
            await second.result(frame.stream, {"attempt": "r-1.00000001"}, b"[2]")
            assert await call == b"[2]"

    live(scenario)


def test_a_cut_before_custody_offers_it_again_to_the_same_session(live):
    event = b"x" * 3_000_000

    async def scenario(peer):
        async with peer.agent() as first, peer.agent("bob") as bob:
            call = asyncio.create_task(peer.outcome("r-1.00000001", event))
            await first.receive(FrameType.INVOKE)
            await first.cut()
            async with peer.agent(**back(first)) as second:
                await second.answer(lambda _head, body: body[:5])
                assert await call == b"xxxxx"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(bob.receive(), 0.2)

    live(scenario)


def test_an_agent_that_is_killed_is_an_error_after_the_grace(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            call = asyncio.create_task(peer.ask("r-1.00000001", seconds=60))
            stream, *_ = await agent.invoked()
            await agent.custody(stream)
            began = time.monotonic()
            await agent.cut()
            _, frames = await call
            assert frames[-1][0] == "FAILED"
            assert frames[-1][1]["type"] == "Stagedoor.Disconnected"
            assert GRACE_SECONDS - 1 < time.monotonic() - began < GRACE_SECONDS + 3
            assert ("BEAT", b"") in frames

    live(scenario)


def test_an_agent_that_stops_frees_its_callers_at_once(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            calls = [asyncio.create_task(peer.ask(f"r-{number}.00000001")) for number in range(2)]
            stream, head, _ = await agent.invoked()
            await agent.invoked()
            await agent.custody(stream)
            await agent.send(session_frame(FrameType.FAREWELL, {"reason": "stopped"}))
            said = {frames[-1][0] for _, frames in await asyncio.gather(*calls)}
            assert said == {"FAILED", "DEPLOYED"}
            assert head["function"] == "notes-list"

    live(scenario)


def test_a_bridge_that_was_cut_is_told_all_of_it_again(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            broken = asyncio.create_task(peer.ask("r-1.00000001"))
            stream, head, _ = await agent.invoked()
            broken.cancel()
            again = asyncio.create_task(peer.ask("r-1.00000001", **{"Stagedoor-Again": "1"}))
            await asyncio.sleep(0.1)
            await agent.custody(stream)
            await agent.result(stream, head, b"[3]")
            _, frames = await again
            assert outcome(frames) == b"[3]"
            _, late = await peer.ask("r-1.00000001", **{"Stagedoor-Again": "2"})
            assert late == [frame for frame in frames if frame[0] != "BEAT"]

    live(scenario)


def test_a_restarted_relay_goes_on_with_what_the_agent_knows(settings, door):
    with serve_relay(settings) as (url, _):
        next_door = Door(settings, url, door.stage_id)

        async def scenario(peer, after):
            async with peer.agent() as first:
                call = asyncio.create_task(peer.ask("r-1.00000001"))
                stream, _head, _ = await first.invoked()
                await first.custody(stream)
                session = first.welcome["session"]
                call.cancel()
            more = {"Stagedoor-Again": "1", "Stagedoor-Session": session}
            call = asyncio.create_task(after.outcome("r-1.00000001", **more))
            other = asyncio.create_task(after.outcome("r-2.00000001", **more))
            await asyncio.sleep(0.2)
            async with after.agent("bob"), after.agent(**back(first, **{"r-1.00000001": "done"})) as second:
                seen = {}
                for _ in range(2):
                    frame = await second.receive(FrameType.INVOKE)
                    head, _event = frame.head()
                    seen[head["attempt"]] = head.get("known", False)
                    await second.custody(frame.stream)
                    await second.result(frame.stream, head, b"[4]")
                assert seen == {"r-1.00000001": True, "r-2.00000001": False}
                assert [await call, await other] == [b"[4]", b"[4]"]

        run_with_two(door, next_door, scenario)


def test_asked_again_with_nobody_named_waits_for_all_who_may_have_it(settings, door):
    with serve_relay(settings) as (url, _):
        next_door = Door(settings, url, door.stage_id)

        async def scenario(peer, after):
            async with peer.agent() as ann, peer.agent("bob") as bob:
                pass
            call = asyncio.create_task(after.outcome("r-1.00000001", **{"Stagedoor-Again": "1"}))
            async with after.agent(**back(ann)) as ann:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ann.receive(), 0.3)
                async with after.agent("bob", **back(bob)):
                    await ann.answer()
                    assert await call == b"{}"

        run_with_two(door, next_door, scenario)


def test_a_draining_relay_lets_short_calls_end_and_sends_the_others_on(settings, door):
    with serve_relay(settings, DrainingServer, drain_seconds=1.0) as (url, server):
        draining = Door(settings, url, door.stage_id)

        async def scenario(peer, after):
            async with peer.agent() as agent:
                calls = [asyncio.create_task(peer.ask(f"r-{number}.00000001", seconds=60)) for number in range(2)]
                works = [await agent.invoked() for _ in range(2)]
                for stream, *_ in works:
                    await agent.custody(stream)
                server.should_exit = True
                assert (await agent.receive()).type is FrameType.DRAIN
                refused = await peer.ask("r-9.00000001")
                assert refused[0] == 503
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    async with peer.agent(**back(agent)):
                        pass
                await agent.result(works[0][0], works[0][1], b"[5]")
                short, long = await asyncio.gather(*calls)
                assert outcome(short[1]) == b"[5]"
                assert [name for name, _ in long[1]][-1] in {"CUSTODY", "BEAT", "ROUTED"}
            name = works[1][1]["attempt"]
            more = {"Stagedoor-Again": "1", "Stagedoor-Session": agent.welcome["session"]}
            call = asyncio.create_task(after.outcome(name, seconds=60, **more))
            async with after.agent(**back(agent, **{name: "running"})) as second:
                frame = await second.receive(FrameType.INVOKE)
                await second.result(frame.stream, frame.head()[0], b"[6]")
                assert await call == b"[6]"

        run_with_two(draining, door, scenario)


def run_with_two(door, next_door, scenario):
    async def main():
        async with asyncio.timeout(60), aiohttp.ClientSession() as http, aiohttp.ClientSession() as other:
            await scenario(Peer(door, http), Peer(next_door, other))

    asyncio.run(main())
