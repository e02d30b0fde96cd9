"""A debugger is attached to a live function, and holds it at a breakpoint."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from stagedoor.live.debugger import ports_of
from stagedoor.live.vscode import configurations, write_launch
from tests.stagedoor.live.reload.conftest import connected, source, write


class Client:
    """As much of the Debug Adapter Protocol as an editor needs to hold a program at a line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer, self._last = reader, writer, 0

    def say(self, command: str, **arguments: Any) -> None:
        self._last += 1
        request = {"seq": self._last, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def hear(self, event: str) -> dict[str, Any]:
        """The next event or answer of this name."""
        while True:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 20)
            message: dict[str, Any] = json.loads(await self._reader.readexactly(int(head.split(b":")[1])))
            if event in (message.get("event"), message.get("command")):
                return message


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_a_breakpoint_holds_a_python_function_until_it_is_let_go(tmp_path: Path):
    write(tmp_path, {"a.py": "def handle(event, context):\n    answer = 'before'\n    return answer\n"})
    port = free_port()

    async def story():
        async with connected(tmp_path, {"f": source(tmp_path, "a.handle")}, debug={"f": port}) as app:
            assert await app.ask() == "before"
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            client.say("initialize", adapterID="test")
            client.say("attach", justMyCode=True)
            await client.hear("initialized")
            client.say("setBreakpoints", source={"path": str(tmp_path / "a.py")}, breakpoints=[{"line": 3}])
            client.say("configurationDone")
            await client.hear("attach")
            asking = asyncio.create_task(app.ask())
            stopped = (await client.hear("stopped"))["body"]
            assert not asking.done()
            client.say("stackTrace", threadId=stopped["threadId"])
            frame = (await client.hear("stackTrace"))["body"]["stackFrames"][0]
            client.say("evaluate", expression="answer = 'held'", context="repl", frameId=frame["id"])
            await client.hear("evaluate")
            client.say("continue", threadId=stopped["threadId"])
            assert await asking == "held"

    asyncio.run(story())


def test_ports_stay_the_same_and_the_editor_is_told_of_them(tmp_path: Path):
    runtimes = {"api": "python3.12", "job": "python3.12", "page": "nodejs22.x", "other": "python3.12"}
    ports = ports_of(runtimes, ["page", "job", "api"])
    assert ports == {"api": 5678, "job": 5679, "page": 9229}
    wanted = configurations(ports, runtimes, {"api": "Shop/Api"})
    theirs = {"version": "0.2.0", "configurations": [{"name": "mine"}], "compounds": []}
    write(tmp_path, {".vscode/launch.json": json.dumps(theirs)})
    for _ in range(2):
        assert write_launch(tmp_path, wanted) is None
    launch = json.loads((tmp_path / ".vscode/launch.json").read_text())
    assert [each["name"] for each in launch["configurations"]] == [
        "mine", "stagedoor: Shop/Api", "stagedoor: job", "stagedoor: page",
    ]  # fmt: skip
    assert launch["compounds"] == []


def test_a_launch_file_with_comments_is_left_to_its_author(tmp_path: Path):
    write(tmp_path, {".vscode/launch.json": "{ // how we start\n}"})
    block = write_launch(tmp_path, configurations({"f": 5678}, {"f": "python3.12"}, {}))
    assert '"port": 5678' in (block or "")
    assert (tmp_path / ".vscode/launch.json").read_text() == "{ // how we start\n}"
