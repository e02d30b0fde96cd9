"""Start jsii's kernel, a Node process, before jsii does, and sooner ready than jsii would have it.

Loaded by `warm_start.py` and while an environment is warmed (`warming.py`), by the Python of an app's environment;
nothing of Stagedoor is imported. Where jsii's own files are of the form that is known here:

- the kernel is spoken to directly; jsii puts a second Node process between, which only hands on what is said;
- the kernel has V8's compiled code of an earlier one, and loads what that loaded while it waits (`kernel_start.js`);
- a package of jsii that was loaded when the environment was warmed is taken to load as it did then, so Python imports
  on while the kernel loads it. If it does not, whoever says something to the kernel next is told.
"""

import base64
import importlib.util
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

_RUNTIME, _PROGRAM = "bin/jsii-runtime.js", "lib/program.js"
_BETWEEN = re.compile(rb"""stdio:\s*\[\s*["']ignore["']\s*(,\s*["']pipe["']\s*){3}\]""")
_DESCRIPTOR = re.compile(rb"readFD:\s*3,\s*writeFD:\s*3")
"""What jsii starts between, and what it starts: one that is told, and answers, by descriptor 3."""

_AT_3 = ("/bin/sh", "-c", 'exec "$@" 3<&0 </dev/null', "sh")
_PRELOADED = Path(__file__).with_name("kernel_start.js")
_CHUNK = 65_536
_UNPACKED: list[Any] = []


def begin_kernel(*, keep: bool = False) -> None:
    """Start jsii's kernel now. jsii gets it if it starts the same in the same folder with the same environment; else it
    starts its own. `keep`: what the kernel has loaded when it ends is kept for those that come.
    """
    found = None if "jsii" in sys.modules else importlib.util.find_spec("jsii")
    if found is None or not found.origin:
        return
    folder = tempfile.TemporaryDirectory()
    _unpack(os.path.join(os.path.dirname(found.origin), "_embedded", "jsii"), folder.name)
    if os.path.exists(f"{folder.name}/{_RUNTIME}"):
        _hand_over(*_begun(folder.name, keep=keep))
        _UNPACKED.append(folder)


def _unpack(embedded: str, folder: str) -> None:
    for name in os.listdir(embedded) if os.path.isdir(embedded) else ():
        place, _, file = name.partition("__")  # as jsii unpacks them
        if file.endswith(".js"):
            os.makedirs(f"{folder}/{place}", exist_ok=True)
            Path(folder, place, file).write_bytes(Path(embedded, name).read_bytes())


def _begun(folder: str, *, keep: bool) -> tuple[Any, list[str], dict[str, Any]]:
    """Start the kernel that was unpacked to `folder`; return it, and what jsii would have started it by."""
    runtime, program = f"{folder}/{_RUNTIME}", f"{folder}/{_PROGRAM}"
    node = ["node", "--max-old-space-size=4069"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options: dict[str, Any] = {"env": {**os.environ, "JSII_AGENT": f"Python/{sys.version.split()[0]}"}, **pipes}
    asked = [*node, runtime]
    known_form = _BETWEEN.search(Path(runtime).read_bytes()) and os.path.exists(program)
    if not known_form or not _DESCRIPTOR.search(Path(program).read_bytes()):
        return subprocess.Popen(asked, **options), asked, options
    kept = os.path.join(os.path.dirname(sys.prefix), "kernel")
    told = {"STAGEDOOR_KERNEL": kept, **({"STAGEDOOR_KERNEL_KEEP": "1"} if keep else {})}
    ours, its = socket.socketpair()
    with its:
        kernel: Any = subprocess.Popen(
            [*_AT_3, *node, "--require", str(_PRELOADED), "--preserve-symlinks", program],
            **{**options, "stdin": its, "env": {**options["env"], **told}},
        )
    kernel.args = asked
    kernel.stderr = _Printed(kernel.stdout, kernel.stderr)
    kernel.stdin = _Asking(ours, os.path.join(kept, "loads.json"), keep=keep)
    kernel.stdout = kernel.stdin.answers
    return kernel, asked, options


def _hand_over(kernel: Any, asked: list[str], options: dict[str, Any]) -> None:
    """Have `subprocess.Popen` return the kernel to whom starts the same; whoever starts another kernel ends it."""
    module: Any = subprocess
    started = module.Popen
    at = os.getcwd()

    class Popen(started):  # type: ignore[misc,valid-type]
        def __new__(cls, args: Any = (), **given: Any) -> Any:
            if not (isinstance(args, list) and args and str(args[-1]).endswith(_RUNTIME)):
                return super().__new__(cls)
            module.Popen = started
            if [*args[:-1], asked[-1]] == asked and given == options and os.getcwd() == at:
                return kernel
            kernel.kill()
            kernel.wait()
            for stream in (kernel.stdin, kernel.stdout, kernel.stderr):
                stream.close()
            return started(args, **given)

    module.Popen = Popen


class _Asking:
    """What jsii writes its requests to, each a line. `file` holds the loads of packages that are known to be good, each
    with its answer; `keep` adds those of now.
    """

    def __init__(self, channel: socket.socket, file: str, *, keep: bool) -> None:
        self._channel = channel
        self._writing = channel.makefile("wb")
        self._file = file
        self._keep = keep
        self._loads = _read(file)
        self.answers = _Answers(channel.makefile("rb"))

    @property
    def closed(self) -> bool:
        """Whether the kernel is told no more."""
        return self._writing.closed

    def write(self, request: bytes) -> None:
        """Tell the kernel."""
        is_load = b'"api": "load"' in request
        known = self._loads.get(request.decode()) if is_load and not self._keep else None
        if known is not None:
            self.answers.expect(known.encode())
        elif is_load and self._keep:
            self.answers.watch(lambda answer: self._loads.__setitem__(request.decode(), answer.decode()))
        self._writing.write(request)

    def flush(self) -> None:
        """Have it told."""
        self._writing.flush()

    def close(self) -> None:
        """Tell no more."""
        if self.closed:
            return
        self._writing.close()
        self._channel.shutdown(socket.SHUT_WR)
        if self._keep:
            os.makedirs(os.path.dirname(self._file), exist_ok=True)
            beginning = Path(f"{self._file}.begun")
            beginning.write_text(json.dumps(self._loads))
            beginning.replace(self._file)


class _Answers:
    """What jsii reads the kernel's answers from, each a line. Some are given before the kernel has said them."""

    def __init__(self, reading: IO[bytes]) -> None:
        self._reading = reading
        self._given: list[bytes] = []
        self._to_come = 0
        self._failed = b""
        self._watching: list[Any] = []

    def expect(self, answer: bytes) -> None:
        """Give this answer to the next who asks, without waiting for the kernel."""
        self._given.append(answer)
        self._to_come += 1

    def watch(self, see: Any) -> None:
        """Show the next answer to `see`, too."""
        self._watching.append(see)

    def readline(self) -> bytes:
        """Return the next answer."""
        if self._given:
            return self._given.pop(0)
        while self._to_come and not self._failed:
            self._to_come -= 1
            answer = self._reading.readline()
            self._failed = b"" if answer.startswith(b'{"ok":') else answer or b"\n"
        if self._failed:  # nothing is right after it
            return self._failed
        answer = self._reading.readline()
        while self._watching:
            self._watching.pop()(answer)
        return answer

    def close(self) -> None:
        """Listen no more."""
        self._reading.close()


class _Printed:
    """What the kernel prints, in the lines in which jsii's own process between would tell it."""

    def __init__(self, stdout: Any, stderr: Any) -> None:
        self._streams = {"stdout": stdout, "stderr": stderr}
        self._open = selectors.DefaultSelector()
        for name, stream in self._streams.items():
            self._open.register(stream, selectors.EVENT_READ, name)

    def readline(self) -> bytes:
        """Return the next that was printed; nothing when the kernel has ended."""
        while self._open.get_map():
            for key, _ in self._open.select():
                if printed := os.read(key.fd, _CHUNK):
                    return json.dumps({key.data: base64.b64encode(printed).decode()}).encode() + b"\n"
                self._open.unregister(key.fileobj)
        return b""

    def close(self) -> None:
        """Listen no more."""
        self._open.close()
        for stream in self._streams.values():
            stream.close()


def _read(file: str) -> dict[str, str]:
    try:
        return dict(json.loads(Path(file).read_bytes()))
    except (OSError, ValueError):
        return {}
