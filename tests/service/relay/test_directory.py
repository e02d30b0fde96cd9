"""Two web processes on one Redis: agents connect to one, bridges reach the other."""

import asyncio

import aiohttp
import pytest

from service.relay.draining import DrainingServer
from service.worker.queue_server import embedded_queue
from stagedoor.live.frames import FrameType
from tests.service.relay.conftest import Door, Peer, free_listener, serve_relay


@pytest.fixture
def redis_url(tmp_path):
    with embedded_queue(tmp_path / "queue") as url:
        yield url


@pytest.fixture
def two(settings, door, redis_url):
    """Run a scenario with the two processes, `async def scenario(one, other, server_of_one)`."""

    def run(scenario):
        listeners = [free_listener(), free_listener()]
        both = [
            settings.model_copy(
                update={"redis_url": redis_url, "internal_url": f"http://127.0.0.1:{one.getsockname()[1]}"}
            )
            for one in listeners
        ]
        first = serve_relay(both[0], DrainingServer, 5.0, listeners[0])
        second = serve_relay(both[1], DrainingServer, 0.1, listeners[1])
        with first as (here, server), second as (there, _):

            async def main():
                async with asyncio.timeout(60), aiohttp.ClientSession() as http, aiohttp.ClientSession() as more:
                    one = Peer(Door(settings, here, door.stage_id), http)
                    other = Peer(Door(settings, there, door.stage_id), more)
                    await scenario(one, other, server)

            asyncio.run(main())

    return run


def test_a_call_reaches_the_agent_of_the_other_process(two):
    async def scenario(one, other, _server):
        assert (await one.ask("r-9.00000001"))[1][0][0] == "DEPLOYED"
        async with other.agent() as agent:
            for number, event in enumerate([b"[1]", b"x" * 5_000_000]):
                call = asyncio.create_task(one.outcome(f"r-{number}.00000001", event))
                await agent.answer(lambda _head, body: body[::-1])
                assert await call == event[::-1]
        async with other.agent("bob") as bob, one.agent("eve") as eve:
            assert "bob" in [there["developer"] for there in eve.welcome["others"]]
            named = b'{"headers": {"x-stagedoor-developer": "bob"}}'
            call = asyncio.create_task(one.outcome("r-3.00000001", named))
            await bob.answer()
            assert await call == named

    two(scenario)


def test_its_sandbox_goes_with_it(two):
    async def scenario(one, other, _server):
        async with other.agent() as agent:
            named = {"Stagedoor-Sandbox": "s1"}
            _, frames = await one.ask("r-1.00000001", **named)
            assert frames == [("WANTED", {"event": False, "sandbox": True})]
            headers = {"Authorization": f"Bearer {one.door.function_token()}"}
            async with one.http.put(f"{one.door.url}/live/sandboxes/s1", json={"a": 1}, headers=headers) as answer:
                assert answer.status == 204
            call = asyncio.create_task(one.outcome("r-1.00000001", **named))
            assert (await agent.receive(FrameType.SANDBOX)).document()["a"] == 1
            await agent.answer()
            await call

    two(scenario)


def test_an_agent_that_comes_back_elsewhere_takes_what_it_has_along(two):
    async def scenario(one, other, _server):
        async with one.agent() as agent:
            first = asyncio.create_task(one.ask("r-1.00000001", seconds=60))
            stream, *_ = await agent.invoked()
            await agent.custody(stream)
            await agent.cut()
        known = {"known": {"r-1.00000001": "running"}}
        resumed = {"session": agent.welcome["session"], "resume": agent.welcome["resume"], **known}
        async with other.agent(**resumed) as second:
            _, frames = await first  # broken off, as soon as the first process knows
            assert frames[-1][0] in {"CUSTODY", "BEAT", "ROUTED"}
            more = {"Stagedoor-Again": "1", "Stagedoor-Session": agent.welcome["session"]}
            again = asyncio.create_task(one.outcome("r-1.00000001", seconds=60, **more))
            frame = await second.receive(FrameType.INVOKE)
            assert frame.head()[0]["known"]
            await second.result(frame.stream, frame.head()[0], b"[7]")
            assert await again == b"[7]"

    two(scenario)


def test_asked_again_with_nobody_named_is_looked_for_in_both(two):
    async def scenario(one, other, _server):
        async with other.agent() as agent:
            broken = asyncio.create_task(other.ask("r-1.00000001", seconds=60))
            stream, head, _ = await agent.invoked()
            broken.cancel()
            again = asyncio.create_task(one.outcome("r-1.00000001", seconds=60, **{"Stagedoor-Again": "1"}))
            await asyncio.sleep(0.2)
            await agent.result(stream, head, b"[8]")
            assert await again == b"[8]"

    two(scenario)


def test_a_draining_process_hands_its_agents_over(two):
    async def scenario(one, other, server):
        async with one.agent() as agent:
            call = asyncio.create_task(one.ask("r-1.00000001", seconds=60))
            stream, *_ = await agent.invoked()
            await agent.custody(stream)
            server.should_exit = True
            assert (await agent.receive()).type is FrameType.DRAIN
            known = {"known": {"r-1.00000001": "running"}}
            resumed = {"session": agent.welcome["session"], "resume": agent.welcome["resume"], **known}
            async with other.agent(**resumed) as second:
                await asyncio.wait_for(call, 3)
                more = {"Stagedoor-Again": "1", "Stagedoor-Session": agent.welcome["session"]}
                again = asyncio.create_task(other.outcome("r-1.00000001", seconds=60, **more))
                frame = await second.receive(FrameType.INVOKE)
                await second.result(frame.stream, frame.head()[0], b"[9]")
                assert await again == b"[9]"

    two(scenario)
