"""Processes that have the CDK loaded and wait, each for one synth: for `stagedoor dev`, where an edit is waited for.

A warm process is started in the sandbox of the synth that it is for, shows the program the same as a process of its own
would, is used once, and ends. So nothing passes from one synth to the next. It serves only an app in the same
repository, with the same environment of dependencies and the same Node, whose command line is `python FILE.py …`.

    with WarmPool(folder, executor_with) as warm:
        synthesize(request, executor, emit, warm=warm)  # as ever; a process is got ready when it ends
        synthesize(request, executor, emit, warm=warm)  # in a tenth of the time
"""

import json
import os
import queue
import re
import shlex
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from stagedoor.errors import UserError
from stagedoor.synth.confinement import environment as environment_from
from stagedoor.synth.dependencies import Environment, settings_above
from stagedoor.synth.executor import Command, Completed, Executor, TookTooLong, go_on
from stagedoor.synth.keeping import write_whole
from stagedoor.synth.program import Program, identity_of_node
from stagedoor.synth.warming import cdk_modules

_PLAIN = re.compile(r"python3? +[\w./-]+\.py( +[\w./:=@+-]+)*")
START = Path(__file__).with_name("warm_start.py")
_KERNEL = Path(__file__).with_name("warm_kernel.js")
_LOOK_SECONDS = 0.02
_SECONDS = 300


def script_of(line: str) -> list[str] | None:
    """Return the script and its arguments of a command line that is nothing but `python FILE.py …`; else None."""
    return shlex.split(line)[1:] if _PLAIN.fullmatch(line.strip()) else None


def python_with_cdk(environment: Environment) -> Path | None:
    """Return the Python of an environment in which the CDK was installed and unpacked."""
    for folder in environment.made:
        python = folder / "venv" / "bin" / "python"
        if python.exists() and (folder / "jsii" / "aws-cdk-lib").is_dir():
            return python
    return None


def quick(line: str, environment: Environment) -> tuple[str, ...] | None:
    """Return what runs a plain line of a Python CDK app as the line does, and ends sooner; None for any other line."""
    argv, python = script_of(line), python_with_cdk(environment)
    return (str(python), "-P", str(START), "--now", *argv) if argv and python else None


@dataclass(frozen=True, slots=True)
class Slot:
    """What a warm process is for: one app of one repository, with what was installed for it.

    `inode` is that of `root`: a sandbox that was opened for a folder does not let into one that took its place.
    """

    app_dir: Path
    root: Path
    inode: int
    environment: Environment
    node: str

    @staticmethod
    def of(program: Program, environment: Environment) -> "Slot":
        """Return the slot of a program with its environment."""
        return Slot(program.app_dir, program.root, program.root.stat().st_ino, environment, identity_of_node())

    def same_as(self, other: "Slot") -> bool:
        """Say whether a process for one serves the other. The folders of an environment have another name each time."""
        same_app = (self.app_dir, self.root, self.inode) == (other.app_dir, other.root, other.inode)
        return same_app and (self.environment.made, self.node) == (other.environment.made, other.node)

    @property
    def python(self) -> Path | None:
        """The app's Python, where the CDK is installed for it and was unpacked."""
        return python_with_cdk(self.environment)


class _Ended(Exception):
    """Nobody has a use for the process any more."""


class WarmProcess:
    """One process that waits, and then is the app's program once. Made by a `WarmPool`."""

    def __init__(self, slot: Slot, folder: Path, executor_with: Callable[[Callable[[], None]], Executor]) -> None:
        self.slot = slot
        self._folder = folder
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._deadline: float | None = None
        self._ended = threading.Event()
        self._completed: Completed | None = None
        self._error: BaseException | None = None
        executor = executor_with(self._go_on)
        self._thread = threading.Thread(target=self._live, args=(executor,), name="warm", daemon=True)
        self._thread.start()

    @property
    def output(self) -> Path:
        """Where it writes the assembly: its sandbox was closed before it was known for which synth it is."""
        return self._folder / "cdk.out"

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether it has loaded all and waits."""
        return self.alive and (self._folder / "ready").exists()

    def run(
        self,
        argv: list[str],
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        check: Callable[[], None] = go_on,
    ) -> Completed:
        """Run the script `argv` as `Executor.run` would run `python argv`. Once. `check` raises to end it."""
        while not self._lines.empty():
            self._lines.get()  # what was printed before it was the app's
        self.output.mkdir()
        env = {**variables, "PATH": _path(self.slot.environment), "CDK_OUTDIR": str(self.output)}
        order = {"cwd": str(self.slot.app_dir), "env": {**env, "PWD": str(self.slot.app_dir)}, "argv": argv}
        self._deadline = time.monotonic() + _SECONDS
        write_whole(self._folder / "order", json.dumps(order).encode())
        try:
            while self._thread.is_alive() or not self._lines.empty():
                check()
                with suppress(queue.Empty):
                    on_line(self._lines.get(timeout=_LOOK_SECONDS))
        finally:
            self.end()
        if self._error is not None:
            raise self._error
        if self._completed is None:
            raise RuntimeError("a warm process ended and did not say how")
        return self._completed

    def end(self) -> None:
        """End it, unless it has ended, and wait until it has."""
        self._ended.set()
        self._thread.join()

    def _live(self, executor: Executor) -> None:
        python = self.slot.python
        env = {
            **self.slot.environment.variables,
            "PATH": _path(self.slot.environment),
            "NODE_OPTIONS": f"--require {_KERNEL}",
            "STAGEDOOR_WARM_ORDER": str(self._folder / "order"),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            "CDK_VALIDATION": "false",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
        }
        made = python.parents[2] if python else self._folder
        command = Command(
            name="synth",
            argv=(str(python), "-P", str(START), str(self._folder), *cdk_modules(self.slot.app_dir, made)),
            cwd=self._folder,
            env=env,
            readable=(*self.slot.environment.readable, *settings_above(self.slot.root), START, _KERNEL),
            writable=(self.slot.root, self._folder),
        )
        try:
            self._completed = executor.run(command, self._lines.put)
        except _Ended:
            pass
        except (UserError, OSError) as error:
            self._error = error

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise _Ended
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TookTooLong(
                f"The synth took longer than {_SECONDS} seconds and was ended.",
                "Look at the end of its log for what it waited for; it has no network and no AWS credentials.",
            )


class WarmPool:
    """At most one warm process, for the app that was synthesised last.

    `executor_with` returns an executor that asks its argument many times a second whether to go on, with a limit on
    time that is as long as a process may wait; a synth itself has 300 s. `folder` is on the disk that assemblies are
    written to. `check` is asked while a synth goes on; what it raises ends it.
    """

    def __init__(
        self,
        folder: Path,
        executor_with: Callable[[Callable[[], None]], Executor],
        check: Callable[[], None] = go_on,
    ) -> None:
        self._folder = folder
        self._executor_with = executor_with
        self.check = check
        self._process: WarmProcess | None = None
        self._made: Path | None = None

    def __enter__(self) -> "WarmPool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def loading(self) -> bool:
        """Whether a process is getting ready."""
        return self._process is not None and self._process.alive and not self._process.ready

    def fill(self, slot: Slot) -> None:
        """See to it that a process gets ready for the slot; returns at once."""
        if self._process is not None and self._process.slot.same_as(slot) and self._process.alive:
            return
        self.close()
        if slot.python is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._made = Path(tempfile.mkdtemp(prefix="warm-", dir=self._folder)).resolve()
        self._process = WarmProcess(slot, self._made, self._executor_with)

    def take(self, slot: Slot) -> WarmProcess | None:
        """Return the process for the slot if it is ready. Whoever takes it runs it."""
        process = self._process
        return process if process is not None and process.slot.same_as(slot) and process.ready else None

    def close(self) -> None:
        """End what waits, and take its folder away."""
        if self._process is not None:
            self._process.end()
            self._process = None
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)
            self._made = None


def _path(environment: Environment) -> str:
    base = environment_from(os.environ, Path("/"), registry=False)["PATH"]
    return ":".join([*map(str, environment.path), base])
