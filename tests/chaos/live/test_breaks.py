"""Calls under way while connections are cut, the service is restarted and agents are killed."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import aiohttp
import pytest

from bench.live.faults import cut_in_the_middle, kill_in_the_middle, ordeal, strangers
from bench.live.place import place
from stagedoor.live.frames import PROTOCOL, FrameType, decoded, session_frame


@pytest.fixture(scope="module")
def live():
    """Run a story, `async def story(here)`, in one place that all tests share: a service takes seconds to start."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        here = runner.run(stack.enter_async_context(place()))
        yield lambda story: runner.run(story(here))
        runner.run(stack.aclose())


def test_no_call_is_lost_or_run_twice_while_connections_break_and_the_service_is_restarted(live):
    async def story(here):
        toll = await ordeal(here, calls=400, cuts=16, restarts=1, rolling=True)
        assert (toll.calls, toll.lost, toll.twice) == (400, 0, 0), toll.errors
        assert toll.again > 0, "no call was under way when a connection was cut"
        assert toll.connected > 4, "the agent was never cut"

    live(story)


def test_the_caller_of_a_killed_agent_is_told_and_a_shorter_cut_loses_nothing(live):
    async def story(here):
        (seconds, told), (answer, times) = await asyncio.gather(
            kill_in_the_middle(here, "killed"), cut_in_the_middle(here, "cut", 4)
        )
        assert (told.kind, told.document["errorType"]) == ("error", "Stagedoor.Disconnected")
        assert 7.5 < seconds < 11
        assert (answer.kind, answer.document, times) == ("response", answer.request_id, 1)

    live(story)


def test_each_of_four_developers_gets_exactly_their_own(live):
    async def story(here):
        assert await strangers(here, calls=25) == 0

    live(story)


def test_an_agent_that_has_carried_thousands_of_calls_comes_back_after_a_cut(live):
    known = {f"{uuid4()}.0123abcd": "done" for _ in range(20_000)}

    async def story(here):
        headers = {"Authorization": f"Bearer {here.service.stage_token('ann')}"}
        url = f"{here.service.url}/live/tunnel"
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(url, protocols=[PROTOCOL], headers=headers) as socket,
        ):
            hello = session_frame(FrameType.HELLO, {"protocol": 1, "known": known})
            await socket.send_bytes(hello.encoded())
            assert decoded(await socket.receive_bytes()).type is FrameType.WELCOME

    live(story)
