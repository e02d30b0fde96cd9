"""Bridge and agent through the relay as it is served."""

import asyncio
import os

from stagedoor.live.frames import FrameType


def test_an_event_reaches_the_agent_and_its_result_comes_back(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            calls = asyncio.create_task(peer.ask("r-1.00000001", b'{"a": 1}'))
            stream, head, event = await agent.invoked()
            assert (head["function"], head["request_id"], event) == ("notes-list", "r-1", b'{"a": 1}')
            assert head["headers"]["Lambda-Runtime-Aws-Request-Id"] == "r-1"
            await agent.custody(stream)
            await agent.result(stream, head, b'{"b": 2}')
            assert (await agent.receive()).type is FrameType.RECEIVED
            status, frames = await calls
            assert status == 200
            assert [name for name, _ in frames] == ["ROUTED", "CUSTODY", "RESULT", "DATA"]
            assert frames[0][1] == {"session": agent.welcome["session"], "developer": "ann"}
            assert frames[2][1]["headers"] == {"Content-Type": "application/json"}
            assert frames[3][1] == b'{"b": 2}'

    live(scenario)


def test_nobody_there_means_the_deployed_code(live):
    async def scenario(peer):
        status, frames = await peer.ask("r-1.00000001", body=False)
        assert (status, frames[0][0]) == (200, "DEPLOYED")

    live(scenario)


def test_six_megabytes_each_way_arrive_whole(live):
    event = os.urandom(6 * 1024 * 1024)

    async def scenario(peer):
        async with peer.agent() as agent:
            call = asyncio.create_task(peer.outcome("r-1.00000001", event))
            stream, head, received = await agent.invoked()
            assert received == event
            await agent.custody(stream)
            sending = asyncio.create_task(agent.result(stream, head, event[::-1]))
            assert (await agent.receive()).type is FrameType.CREDIT
            assert (await agent.receive()).type is FrameType.RECEIVED
            await sending
            assert await call == event[::-1]

    live(scenario)
