"""Workers as a developer sees them: how many, which one, what a save does, whose credentials."""

import asyncio
import http.client
import os
import time
from pathlib import Path

import pytest

from stagedoor.live.agent_events import WorkerEnded, WorkerStarted
from tests.stagedoor.live.agent.conftest import Connect, Live

AT_WORK = {"f": "at_work.handler"}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]


def test_one_worker_for_each_invocation_at_a_time_and_no_more_than_asked_for(live: Connect) -> None:
    async def scenario() -> None:
        async with live(AT_WORK, concurrency=3) as stage:
            results = await asyncio.gather(*(stage.invoke({"ms": 100}) for _ in range(9)))
            pids = {result.document["pid"] for result in results}
            assert len(pids) == 3
            assert (await stage.invoke({})).document["pid"] in pids

    asyncio.run(scenario())


def test_a_sandbox_keeps_its_worker_and_another_environment_gets_another(live: Connect) -> None:
    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            boxes = [await stage.relay.sandbox("f", {"AWS_LAMBDA_LOG_STREAM_NAME": name}) for name in "ab"]
            both = await asyncio.gather(*(stage.invoke({"ms": 200}, sandbox=box) for box in boxes))
            assert [result.document["stream"] for result in both] == ["a", "b"]
            for _ in range(3):
                for box, result in zip(boxes, both, strict=True):
                    again = await stage.invoke({}, sandbox=box)
                    assert again.document["pid"] == result.document["pid"]
            changed = await stage.relay.sandbox("f", {"NOTES_TABLE": "another"})
            assert (await stage.invoke({}, sandbox=changed)).document["pid"] not in {r.document["pid"] for r in both}

    asyncio.run(scenario())


def test_functions_share_the_limit_and_an_idle_worker_makes_room(live: Connect) -> None:
    async def scenario() -> None:
        async with live({"f": "at_work.handler", "g": "at_work.handler"}, concurrency=1) as stage:
            first = (await stage.invoke({}, "f")).document["pid"]
            assert (await stage.invoke({}, "g")).kind == "response"
            await stage.until(lambda: WorkerEnded("f", first, "idle") in stage.events)
            changed = await stage.relay.sandbox("g", {"NOTES_TABLE": "another"})
            assert (await stage.invoke({}, "g", sandbox=changed)).kind == "response"
            await stage.until(lambda: [end.why for end in stage.said(WorkerEnded)] == ["idle", "idle"])

    asyncio.run(scenario())


def test_a_reload_lets_what_runs_finish_and_what_comes_wait_for_the_new_code(live: Connect, tmp_path) -> None:
    code = tmp_path / "notes.py"

    def write(answer: str) -> None:
        code.write_text(f"import time\ndef handler(event, context):\n    time.sleep(event)\n    return '{answer}'\n")

    async def built() -> None:
        await asyncio.sleep(0.3)
        write("new")

    async def scenario() -> None:
        write("old")
        async with live({"f": "notes.handler"}, tmp_path) as stage:
            assert (await stage.invoke(0)).document == "old"
            running = asyncio.create_task(stage.invoke(1))
            await asyncio.sleep(0.2)
            await stage.agent.reload(["f"], built())
            assert (await stage.invoke(0)).document == "new"
            assert not running.done()
            assert (await running).document == "old"
            await stage.until(lambda: [end.why for end in stage.said(WorkerEnded)] == ["reloaded"])

    asyncio.run(scenario())


def test_a_save_that_breaks_the_code_is_told_to_the_next_caller_and_the_one_that_mends_it_works(live, tmp_path) -> None:
    code = tmp_path / "notes.py"

    async def scenario() -> None:
        code.write_text("def handler(event, context):\n    return 1\n")
        async with live({"f": "notes.handler"}, tmp_path) as stage:
            assert (await stage.invoke()).document == 1
            code.write_text("def handler(event, context)\n    return 2\n")
            await stage.agent.reload()
            broken = await stage.invoke()
            assert (broken.kind, broken.document["errorType"]) == ("error", "Runtime.UserCodeSyntaxError")
            code.write_text("def handler(event, context):\n    return 3\n")
            await stage.agent.reload()
            assert (await stage.invoke()).document == 3

    asyncio.run(scenario())


def test_a_spare_has_what_the_function_needs_of_boto3_but_nothing_of_its_own(live: Connect, tmp_path) -> None:
    """Loading boto3 takes a third of a second: a save does not."""
    code = tmp_path / "notes.py"
    code.write_text(
        "import boto3, sys\nLOADED = 'own' in sys.modules\nimport own\ndef handler(*_):\n    return LOADED\n"
    )
    (tmp_path / "own.py").write_text("")

    async def scenario() -> None:
        async with live({"f": "notes.handler"}, tmp_path) as stage:
            assert (await stage.invoke()).document is False
            await asyncio.sleep(2.5)  # the spare loads in the background
            await stage.agent.reload()
            assert (await stage.invoke()).document is False
            first, second = stage.said(WorkerStarted)[:2]
            assert second.seconds < first.seconds / 3

    asyncio.run(scenario())


def test_boto3_has_the_credentials_of_the_newest_sandbox_and_none_of_the_persons(live, tmp_path, monkeypatch) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = MINE\naws_secret_access_key = MINE\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_PROFILE", "default")
    environment = {"AWS_ACCESS_KEY_ID": "IN-THE-SANDBOX", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "eu-central-1"}

    def role(name: str) -> dict[str, str]:
        return {"AccessKeyId": name, "SecretAccessKey": "secret", "Token": f"{name}-token"}

    async def scenario() -> None:
        async with live({"f": "at_work.credentials"}, environment=environment, credentials=role("ROLE")) as stage:
            expected = {"key": "ROLE", "token": "ROLE-token", "method": "container-role"}
            assert (await stage.invoke()).document == expected
            newer = await stage.relay.sandbox("f", environment, role("NEWER"))
            worker = await stage.invoke(sandbox=newer)
            assert (worker.document["key"], len(stage.said(WorkerStarted))) == ("NEWER", 1)

    asyncio.run(scenario())


def test_a_runtime_api_answers_its_own_worker_alone(live: Connect) -> None:
    async def scenario() -> None:
        async with live(AT_WORK, credentials={"AccessKeyId": "ROLE"}) as stage:
            pid = (await stage.invoke()).document["pid"]
            variables = dict(
                entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
            )
            address, token = variables["AWS_LAMBDA_RUNTIME_API"], variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
            assert address.startswith("127.0.0.1:")
            next_one = "/2018-06-01/runtime/invocation/next"

            def ask(path: str, **headers: str) -> int:
                connection = http.client.HTTPConnection(address, timeout=5)
                connection.request("GET", path, headers=headers)
                return connection.getresponse().status

            for path, headers, status in [
                (next_one, {"Host": "evil.example"}, 403),
                (next_one, {"Origin": "http://evil.example"}, 403),
                ("/credentials", {}, 403),
                ("/credentials", {"Authorization": "guess"}, 403),
                ("/credentials", {"Authorization": token, "Host": f"localhost:{address[10:]}"}, 403),
                ("/credentials", {"Authorization": token}, 200),
                ("/2018-06-01/runtime/invocation/1/response", {}, 404),
                ("/", {}, 404),
            ]:
                assert await asyncio.to_thread(ask, path, **headers) == status, (path, headers)

    asyncio.run(scenario())


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="processes are looked at through /proc")
def test_an_agent_that_ends_leaves_no_process(live: Connect) -> None:
    async def scenario() -> list[int]:
        async with live({"f": "at_work.handler", "g": "at_work.forked"}) as stage:
            return [(await stage.invoke()).document["pid"], (await stage.invoke({}, "g")).document]

    pids = asyncio.run(scenario())
    until = time.monotonic() + 5  # a process that was killed is there until its own end
    while any(map(alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [pid for pid in pids if alive(pid)]


def test_a_function_that_cannot_be_run_here_is_an_error_with_its_remedy(
    commands_cache, live: Connect, tmp_path
) -> None:
    async def scenario() -> None:
        async with live(AT_WORK) as stage:
            _break_interpreter(stage, tmp_path)
            result = await stage.invoke()
            assert result.document["errorType"] == "Stagedoor.WorkerFailed"
            assert "Make the app's virtual environment anew." in result.document["errorMessage"]

    asyncio.run(scenario())


def _break_interpreter(stage: Live, folder: Path) -> None:
    from dataclasses import replace

    workers = stage.agent._pool._functions["f"]
    workers.function = replace(workers.function, interpreter=folder / "no" / "python")
