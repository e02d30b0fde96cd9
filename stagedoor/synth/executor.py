"""Where a stranger's command runs: behind `Executor`, which may be this machine, a task without a role, or a CI job.

`LocalProcessExecutor` is the first: a process tree of its own with an environment made from nothing, limits on time,
memory, processes, output and file size, and as much confinement as the kernel grants (see `confinement.py`).
"""

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stagedoor.errors import UserError
from stagedoor.synth import confinement, launching
from stagedoor.synth.processes import descendants, kill_descendants, private_bytes

LINE_LIMIT = 4_000
"""Characters of one line of the log; the rest of a longer line is left out."""

NICENESS = 10
"""By how much a command gives way to others on its machine: whoever waits for a webhook's answer goes before whoever
waits for a synth."""

_TICK = 0.1
_CHUNK = 65_536


class TookTooLong(UserError):
    """The command ran longer than it may."""

    id = "synth-took-too-long"


class UsedTooMuchMemory(UserError):
    """The command's processes together held more memory than they may."""

    id = "synth-used-too-much-memory"


class StartedTooManyProcesses(UserError):
    """The command had more processes at once than it may."""

    id = "synth-started-too-many-processes"


class PrintedTooMuch(UserError):
    """The command printed more than it may."""

    id = "synth-printed-too-much"


class _NotConfined(OSError):
    """The kernel did not grant what the command was to be confined with, and the command was not run."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may use. `memory` and `processes` are those of all its processes together, at any one time.

    `niceness`: by how much it gives way to others; 0 for a person's own synth, which that person waits for.
    """

    seconds: float = 300
    memory: int = 4 * 1024**3
    processes: int = 256
    output: int = 10 * 1024**2
    file_size: int = 2 * 1024**3
    niceness: int = NICENESS


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run. `name` is what the log and errors call it: `install`, `synth`.

    `env` is added to what the executor sets itself and holds nothing secret. Besides the system's own programs and
    libraries the command sees what is below `readable`, and changes only what is below `writable`; `cwd` must be in
    one of them. `network` is what it needs the network for: a command that needs no package registry gets none.
    """

    name: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    network: bool = False


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended by itself: its exit status (128 + n when signal n ended it), and what it used."""

    status: int
    seconds: float
    peak_memory: int


class Executor(Protocol):
    """Runs a command to its end, away from everything that is ours."""

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        """Run `command`; give each line that it prints to `on_line`, as it is printed, without its end.

        Raises a `UserError` when a limit is passed. Whatever `on_line` raises ends the command and is raised again.
        When this returns or raises, nothing of the command runs any more.
        """


def go_on() -> None:
    """Stop no command: whoever wants it goes on wanting it."""


class LocalProcessExecutor:
    """Runs commands on this machine. `user` is a uid that nobody else has, to become; this needs root.

    Without it the command has our own uid, and what parts it from us is what the kernel grants an ordinary process.
    `check` is asked ten times a second while a command runs, also one that prints nothing; what it raises (`LeaseLost`,
    `Cancelled`) ends the command and is raised again.
    """

    def __init__(
        self, limits: Limits | None = None, user: int | None = None, check: Callable[[], None] = go_on
    ) -> None:
        self._limits = limits or Limits()
        self._user = user
        self._check = check
        self._running: _Watch | None = None

    @property
    def memory(self) -> int:
        """Bytes that the processes of the command that was started last have for themselves; 0 when it has ended."""
        return self._running.memory if self._running else 0

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        """Run `command` (see `Executor`)."""
        confinement.shield_this_process()
        with tempfile.TemporaryDirectory(prefix="stagedoor-", ignore_cleanup_errors=True) as scratch:
            for path in (Path(scratch), *command.writable):
                self.hand_over(path)
            had = confinement.granted()
            try:
                return self._watch(command, Path(scratch), on_line)
            except _NotConfined:  # so nothing of the command was run
                if confinement.find_granted() == had:
                    raise
                return self._watch(command, Path(scratch), on_line)

    def _watch(self, command: Command, scratch: Path, on_line: Callable[[str], None]) -> Completed:
        failures, failures_of_launcher = os.pipe()
        with (
            os.fdopen(failures, "rb") as failed,
            subprocess.Popen(
                launching.command_line(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={},
                cwd="/",
                start_new_session=True,
                pass_fds=(failures_of_launcher,),
            ) as process,
        ):
            self._running = watch = _Watch(command, self._limits, process, on_line, self._check)
            try:
                os.close(failures_of_launcher)
                self._tell(process, self._spec(command, scratch, failures_of_launcher))
                completed = watch.until_end()
            finally:
                _end(process)
                self._running = None
            if problem := failed.read().decode(errors="replace"):
                raise _NotConfined(f"The command {command.name!r} could not be confined: {problem}")
        return completed

    def _tell(self, process: subprocess.Popen[bytes], spec: launching.Spec) -> None:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        with suppress(BrokenPipeError):  # it says itself why it ended
            process.stdin.write(launching.dump(spec))
            process.stdin.close()

    def _spec(self, command: Command, scratch: Path, failures: int) -> launching.Spec:
        granted = confinement.granted()
        env = confinement.environment(os.environ, scratch, registry=command.network) | dict(command.env)
        return launching.Spec(
            argv=command.argv,
            cwd=str(command.cwd),
            env=env,
            failures=failures,
            parent=os.getpid(),
            namespaces=granted.namespaces,
            network=command.network or not granted.network,
            landlock=granted.landlock > 0,
            user=self._user,
            readable=[*confinement.system_paths(env), *map(str, command.readable)],
            writable=[*confinement.writable_paths(), str(scratch), *map(str, command.writable)],
            ports=confinement.registry_ports(env) if command.network else [],
            data_bytes=self._limits.memory,
            file_bytes=self._limits.file_size,
            # The kernel counts threads and all that the user runs: a number only where the user is the command's own.
            tasks=None if self._user is None else self._limits.processes * 16,
            niceness=self._limits.niceness,
        )

    def hand_over(self, path: Path) -> None:
        """Give what the command may change to the user that it runs as."""
        if self._user is None:
            return
        os.chown(path, self._user, self._user, follow_symlinks=False)
        for directory, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(os.path.join(directory, name), self._user, self._user, follow_symlinks=False)


class _Watch:
    """One running command: reads what it prints and ends it when it passes a limit."""

    def __init__(
        self,
        command: Command,
        limits: Limits,
        process: subprocess.Popen[bytes],
        on_line: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self._command = command
        self._check = check
        self._limits = limits
        self._process = process
        self._on_line = on_line
        self._started = time.monotonic()
        self._printed = 0
        self._peak_memory = 0
        self.memory = 0
        self._rest = b""

    def until_end(self) -> Completed:
        """Read until every process that could print has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        output = self._process.stdout.fileno()
        looked = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while True:
                ready = selector.select(_TICK)
                if ready and not self._read(output):
                    break
                if time.monotonic() - looked >= _TICK:
                    self._check()
                    self._check_usage()
                    looked = time.monotonic()
        if self._rest:
            self._say(self._rest)
        status = self._process.wait()
        return Completed(status if status >= 0 else 128 - status, time.monotonic() - self._started, self._peak_memory)

    def _read(self, output: int) -> bool:
        chunk = os.read(output, _CHUNK)
        self._printed += len(chunk)
        if self._printed > self._limits.output:
            raise PrintedTooMuch(
                f"The {self._command.name} printed more than {_size(self._limits.output)}.",
                "Make it print less; its whole log is kept and shown.",
            )
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._say(line)
        self._rest = self._rest[: LINE_LIMIT * 4 + 1]
        return bool(chunk)

    def _say(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self._on_line(text if len(text) <= LINE_LIMIT else f"{text[:LINE_LIMIT]} …")

    def _check_usage(self) -> None:
        if time.monotonic() - self._started > self._limits.seconds:
            raise TookTooLong(
                f"The {self._command.name} took longer than {self._limits.seconds:g} seconds and was ended.",
                "Look at the end of its log for what it waited for; it has no network and no AWS credentials."
                if not self._command.network
                else "Look at the end of its log for what it waited for.",
            )
        below = descendants(self._process.pid)
        if len(below) > self._limits.processes:
            raise StartedTooManyProcesses(
                f"The {self._command.name} had more than {self._limits.processes} processes at once and was ended.",
                "Start fewer processes at a time.",
            )
        self.memory = sum(map(private_bytes, below))
        self._peak_memory = max(self._peak_memory, self.memory)
        if self.memory > self._limits.memory:
            raise UsedTooMuchMemory(
                f"The {self._command.name} used more than {_size(self._limits.memory)} of memory and was ended.",
                "Make it use less: most apps are synthesised in a few hundred megabytes.",
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launcher and all below it; it has mostly ended by itself."""
    if process.poll() is None:
        kill_descendants(process.pid)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _size(count: int) -> str:
    mebibytes = count / 1024**2
    return f"{mebibytes / 1024:g} GiB" if mebibytes >= 1024 else f"{mebibytes:g} MiB"
