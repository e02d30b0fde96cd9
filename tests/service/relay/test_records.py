"""What is recorded, listed and replayed; what bridges are told beside frames; who else is there."""

import asyncio

import pytest

from service.database import make_engine, make_sessions
from service.models import Stage
from stagedoor.live.frames import LARGEST_BODY, FrameType


@pytest.fixture
def keeping(door):
    with make_sessions(make_engine(door.settings.database)).begin() as session:
        session.get_one(Stage, door.stage_id).keeps_payloads = True


async def listed(peer, count):
    headers = {"Authorization": f"Bearer {peer.door.stage_token()}"}
    for _ in range(100):
        async with peer.http.get(
            f"{peer.door.url}/live/stages/{peer.door.stage_id}/invocations", headers=headers
        ) as answer:
            rows = (await answer.json())["invocations"]
        if len(rows) >= count:
            return rows
        await asyncio.sleep(0.05)
    raise AssertionError(rows)


def test_each_invocation_is_listed_with_its_times_and_outcome(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            call = asyncio.create_task(peer.outcome("r-1.00000001", b"[1, 2]"))
            await agent.answer(lambda _head, _event: b"[3]")
            await call
            call = asyncio.create_task(peer.outcome("r-2.00000001"))
            stream, head, _ = await agent.invoked()
            error = {"Lambda-Runtime-Function-Error-Type": "ValueError"}
            await agent.result(stream, head, b"{}", "error", error)
            await call
            failed, good = await listed(peer, 2)
            assert (good["outcome"], good["developer"], good["bytes_in"], good["bytes_out"]) == (
                "response",
                "ann",
                6,
                3,
            )
            assert set(good["times"]) == {"received", "offered", "custody", "started", "ended", "answered"}
            assert (failed["outcome"], failed["error_type"]) == ("error", "ValueError")
            assert not good["replayable"]

    live(scenario)


def test_a_kept_event_is_replayed_to_who_asks(live, keeping):
    async def scenario(peer):
        async with peer.agent() as ann, peer.agent("bob") as bob:
            call = asyncio.create_task(peer.outcome("r-1.00000001", b"[1, 2]"))
            await ann.answer()
            await call
            (row,) = await listed(peer, 1)
            headers = {"Authorization": f"Bearer {peer.door.stage_token('bob')}"}
            replay = f"{peer.door.url}/live/invocations/{row['id']}/replay"
            async with peer.http.post(replay, headers=headers) as answer:
                assert answer.status == 202
            head = await bob.answer()
            assert head["request_id"] != "r-1"
            again, _ = await listed(peer, 2)
            assert (again["replay_of"], again["outcome"], again["developer"]) == (row["id"], "response", "bob")

    live(scenario)


def test_back_pressure_and_limits_are_statuses(live, monkeypatch):
    async def scenario(peer):
        async with peer.agent():
            too_large = {"Stagedoor-Size": str(LARGEST_BODY + 1)}
            assert (await peer.ask("r-1.00000001", body=False, **too_large))[0] == 413
            assert (await peer.ask("r-1.00000001", b"{}", **{"Stagedoor-Size": "9"}))[0] == 400
            assert (await peer.ask("r-1.00000001", **{"Stagedoor-Again": "x"}))[0] == 400
            monkeypatch.setattr("service.relay.switchboard.MOST_ATTEMPTS", 0)
            assert (await peer.ask("r-1.00000001"))[0] == 429

    live(scenario)


def test_a_sandbox_is_asked_for_once_and_comes_before_its_first_attempt(live):
    async def scenario(peer):
        async with peer.agent() as agent:
            named = {"Stagedoor-Sandbox": "s1"}
            _, frames = await peer.ask("r-1.00000001", **named)
            assert frames == [("WANTED", {"event": False, "sandbox": True})]
            headers = {"Authorization": f"Bearer {peer.door.function_token()}"}
            put = peer.http.put(f"{peer.door.url}/live/sandboxes/s1", json={"environment": {"A": "1"}}, headers=headers)
            assert (await put).status == 204
            for number in (1, 2):
                call = asyncio.create_task(peer.outcome(f"r-{number}.00000001", **named))
                if number == 1:
                    sandbox = (await agent.receive(FrameType.SANDBOX)).document()
                    assert sandbox == {"environment": {"A": "1"}, "sandbox": "s1", "function": "notes-list"}
                assert (await agent.answer())["sandbox"] == "s1"
                await call

    live(scenario)


def test_developers_are_told_who_else_is_there(live):
    async def scenario(peer):
        async with peer.agent() as ann:
            assert (await ann.receive(FrameType.OTHERS)).document() == {"others": []}
            async with peer.agent("bob", functions=["notes-list"]) as bob:
                assert [one["developer"] for one in bob.welcome["others"]] == ["ann"]
                (other,) = (await ann.receive(FrameType.OTHERS)).document()["others"]
                assert (other["developer"], other["functions"]) == ("bob", ["notes-list"])
                call = asyncio.create_task(peer.outcome("r-1.00000001"))
                await bob.answer()
                await call
                call = asyncio.create_task(
                    peer.outcome("r-2.00000001", b'{"headers": {"x-stagedoor-developer": "ann"}}')
                )
                await ann.answer()
                await call

    live(scenario)


def test_presence_says_whether_somebody_would_take_it(live):
    async def scenario(peer):
        async def present():
            headers = {"Authorization": f"Bearer {peer.door.function_token()}"}
            async with peer.http.get(f"{peer.door.url}/live/presence", headers=headers) as answer:
                return (await answer.json())["live"]

        assert not await present()
        async with peer.agent(functions=["other"]):
            assert not await present()
        async with peer.agent():
            assert await present()

    live(scenario)


def test_a_thousand_calls_at_once_each_get_their_own(live):
    async def scenario(peer):
        async with peer.agent() as agent:

            async def work():
                for _ in range(1000):
                    stream, head, event = await agent.invoked()
                    await agent.custody(stream)
                    await agent.result(stream, head, event)

            working = asyncio.create_task(work())
            calls = [peer.outcome(f"r-{number}.00000001", b"%d" % number, seconds=60) for number in range(1000)]
            assert await asyncio.gather(*calls) == [b"%d" % number for number in range(1000)]
            await working

    live(scenario)
