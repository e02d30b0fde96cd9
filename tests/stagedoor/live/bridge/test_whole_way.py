"""Lambda's Runtime API, the bridge, the service's relay, the agent, awslambdaric; and the same way back."""

import asyncio
import os
import socket
import threading
from pathlib import Path

import pytest
from aiohttp import web

from service.access.tokens import StageToken, Tokens
from service.database import make_engine, make_sessions, migrate
from service.relay.registry import LiveFunction as Registered
from service.relay.registry import register
from service.settings import Settings
from stagedoor.live.agent import Agent
from stagedoor.live.functions import LiveFunction
from stagedoor.live.python_worker.command import PythonCommands
from tests.service.rows import add_stage
from tests.service.test_front_door import NEEDED, serve
from tests.stagedoor.live.bridge.conftest import HANDLERS, LAMBDA
from tests.stagedoor.live.bridge.sandbox import ARN, Sandbox

ACCOUNT = "000000000001"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/notes-role"


def test_an_event_is_answered_on_the_developers_machine_and_by_deployed_code_when_nobody_is_there(
    wrapper: str, awslambdaric: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code = tmp_path / "code"
    code.mkdir()
    (code / "app.py").write_text("import os\ndef echo(event, context): return [os.environ['TABLE'], event]\n")
    with sts() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint)
        settings = Settings(data_dir=tmp_path, **NEEDED)
        engine = make_engine(settings.database)
        migrate(engine)
        with make_sessions(engine).begin() as session:
            stage_id = add_stage(session).id
            register(session, stage_id, [Registered("notes", ARN, ROLE, 3)])
        server, thread, url = serve(settings)
        environment = {
            **LAMBDA,
            "AWS_LAMBDA_EXEC_WRAPPER": wrapper,
            "AWS_ENDPOINT_URL_STS": endpoint,
            "STAGEDOOR_LIVE_SERVER": url,
            "STAGEDOOR_LIVE_STAGE": str(stage_id),
            "STAGEDOOR_LIVE_TIMEOUT": "3",
        }
        token = Tokens.of(settings).mint(StageToken(stage_id, "ann"))
        function = LiveFunction("notes", "app.echo", "python3.11", code, awslambdaric)
        command = [str(awslambdaric), "-m", "awslambdaric", "app.echo"]
        try:
            with Sandbox(command, environment, code=HANDLERS) as sandbox:
                assert sandbox.invoke({"a": "é"}).document == {"a": "é"}
                with Developer(url, token, function, tmp_path):
                    live = sandbox.invoke({"a": "é"})
                    assert (live.error, live.document) == ("", ["notes-table", {"a": "é"}])
                    large = {"text": os.urandom(2_900_000).hex()}
                    assert sandbox.invoke(large).document == ["notes-table", large]
                assert sandbox.invoke({"a": 2}).document == {"a": 2}
        finally:
            server.should_exit = True
            thread.join()


class Developer:
    """Somebody's agent, connected while the block lasts."""

    def __init__(self, url, token, function, folder):
        async def tokens(renew):
            return token

        self.connected = threading.Event()

        def on_event(event):
            if type(event).__name__ == "Connected":
                self.connected.set()

        self.agent = Agent(url, tokens, {function.name: function}, PythonCommands(folder), on_event=on_event)

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.running = asyncio.run_coroutine_threadsafe(self.agent.run(), self.loop)
        assert self.connected.wait(20)

    def __exit__(self, *_):
        async def stopped():
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stopped(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class sts:
    """An STS that takes every signature for that of the function's role; signatures have a test of their own."""

    def __enter__(self):
        async def caller(_request):
            return web.Response(text=f"<Arn>arn:aws:sts::{ACCOUNT}:assumed-role/notes-role/notes</Arn>")

        async def start():
            app = web.Application()
            app.router.add_get("/", caller)
            self.runner = web.AppRunner(app)
            await self.runner.setup()
            await web.SockSite(self.runner, listener).start()

        listener = socket.create_server(("127.0.0.1", 0))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        asyncio.run_coroutine_threadsafe(start(), self.loop).result(10)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
