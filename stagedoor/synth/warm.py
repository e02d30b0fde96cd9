"""Processes that have the CDK loaded and wait, each for one synth.

A warm process is started in the sandbox of a synth before that synth is wanted, shows the program the same as a process
of its own would, is used once, and ends. So nothing passes from one synth to the next. It serves only an app with the
same environment of dependencies and the same Node, whose command line is `python FILE.py …`. `stagedoor dev`, where the
tree stays where it is and an edit is waited for, has one in a `WarmPool`:

    with WarmPool(folder, executor_with) as warm:
        synthesize(request, executor, emit, warm=warm)  # as ever; a process is got ready when it ends
        synthesize(request, executor, emit, warm=warm)  # in a tenth of the time

Workers, where each run has a tree of its own, have them in `warm_rooms.py`.
"""

import json
import math
import os
import queue
import re
import shlex
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from stagedoor.errors import UserError
from stagedoor.synth.above import settings_above
from stagedoor.synth.confinement import environment as environment_from
from stagedoor.synth.dependencies import Environment
from stagedoor.synth.executor import Command, Completed, LocalProcessExecutor, TookTooLong, go_on
from stagedoor.synth.inside import INSIDE, START, WARM_KERNEL
from stagedoor.synth.keeping import write_whole
from stagedoor.synth.program import Program, identity_of_node
from stagedoor.synth.warming import cdk_modules

SECONDS = 300
"""How long a synth in a warm process may take, unless a pool says otherwise."""

WAIT_SECONDS = 3600.0
"""How long a process waits to be used; then its memory is given back."""

ExecutorWith = Callable[[Callable[[], None]], LocalProcessExecutor]
"""Returns an executor that asks its argument many times a second whether to go on, and has no limit on time."""

_PLAIN = re.compile(r"python3? +[\w./-]+\.py( +[\w./:=@+-]+)*")
_LOOK_SECONDS = 0.02
_REPORT_LIMIT = 1024 * 1024  # bytes; the names of loaded modules take two thousand


class Taken(Protocol):
    """A warm process that was taken, and runs one program."""

    @property
    def output(self) -> Path:
        """Where it writes the assembly: its sandbox was closed before it was known for which synth it is."""

    def run(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        check: Callable[[], None] = go_on,
    ) -> Completed:
        """Run the script `argv` as `Executor.run` would run `python argv`. Once. What `check` raises ends it."""


class Warm(Protocol):
    """Where a synth may find a process that has all loaded. `check` is asked while a synth goes on."""

    check: Callable[[], None]

    def take(self, slot: "Slot", script: str) -> Taken | None:
        """Return a process that serves the slot and has a right to `script`; whoever takes it runs it.

        None where there is none; nothing was run then, and the tree is as it was.
        """

    def fill(self, slot: "Slot") -> None:
        """Have a process got ready for the next synth of this kind."""


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
    `above` are the files above the repository that tools read.
    """

    app_dir: Path
    root: Path
    inode: int
    above: tuple[Path, ...]
    environment: Environment
    node: str

    @staticmethod
    def of(program: Program, environment: Environment) -> "Slot":
        """Return the slot of a program with its environment."""
        return Slot.at(program.app_dir, program.root, environment)

    @staticmethod
    def at(app_dir: Path, root: Path, environment: Environment) -> "Slot":
        """Return the slot of the app in a folder; both are real paths."""
        return Slot(app_dir, root, root.stat().st_ino, settings_above(root), environment, identity_of_node())

    def same_as(self, other: "Slot") -> bool:
        """Say whether a process for one serves the other."""
        same_app = (self.app_dir, self.root, self.inode) == (other.app_dir, other.root, other.inode)
        return same_app and self.tools == other.tools

    @property
    def tools(self) -> tuple[object, ...]:
        """What it does not share with a slot of other versions. The folders of an environment have another name each
        time, and are those of one trust level.
        """
        return self.environment.made, self.node, self.above

    @property
    def python(self) -> Path | None:
        """The app's Python, where the CDK is installed for it and was unpacked."""
        return python_with_cdk(self.environment)

    @property
    def modules(self) -> list[str]:
        """The modules of `aws_cdk` that the app names; all of its Python files are read for them."""
        return cdk_modules(self.app_dir, self.python.parents[2]) if self.python else []


class _Ended(Exception):
    """Nobody has a use for the process any more."""


class WarmProcess:
    """One process that waits, and then is the app's program once. Made by a pool.

    `tree` is the repository that its program may read and write: the slot's own, or one that will be in its place.
    `folder` is new, and its own. It waits for an hour at most; then its program has `seconds`. `soon`: it is wanted
    as soon as it has loaded, and tries nothing out before.
    """

    def __init__(
        self,
        slot: Slot,
        modules: Sequence[str],
        folder: Path,
        tree: Path,
        executor_with: ExecutorWith,
        seconds: float = SECONDS,
        *,
        soon: bool = False,
    ) -> None:
        self.slot = slot
        self._soon = soon
        self.tree = tree
        self.output = folder / "cdk.out"
        self._folder = folder
        self._passing = folder / "passing"
        self._seconds = seconds
        self._until = time.monotonic() + WAIT_SECONDS
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._used_for: Slot | None = None
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self._completed: Completed | None = None
        self._error: BaseException | None = None
        for place in (folder, self.output, self._passing):
            place.mkdir(exist_ok=True)
            place.chmod(0o755)  # whoever the program runs as finds its own in here
        self._executor = executor_with(self._go_on)
        self._thread = threading.Thread(target=self._live, args=(list(modules),), name="warm", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    @property
    def was_ready(self) -> bool:
        """Whether it has loaded all."""
        return (self._passing / "ready").is_file()

    @property
    def ready(self) -> bool:
        """Whether it has loaded all and waits."""
        return self.was_ready and self.alive and self._used_for is None

    @property
    def memory(self) -> int:
        """Bytes that it holds."""
        return self._executor.memory

    def claim(self, slot: Slot, script: str) -> bool:
        """Take it for a program; say whether it was had. One that would find other modules in it than in a process of
        its own does not get it.
        """
        loaded = self._loaded() if self.ready else None
        if loaded is None or loaded & _modules_of(_import_folders(slot, script)):
            return False
        with self._turn:
            if self._ended.is_set():
                return False
            self._used_for, self._until = slot, math.inf
            return True

    def hand_over(self, tree: Path) -> None:
        """Give a tree that was not there at the start to the user that the program runs as."""
        self._executor.hand_over(tree)

    def run(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        check: Callable[[], None] = go_on,
    ) -> Completed:
        """Run the script `argv` in the folder of the app that it was taken for (see `Taken`)."""
        while not self._lines.empty():
            self._lines.get()  # what was printed before it was the app's
        cwd = str((self._used_for or self.slot).app_dir)
        env = {**variables, "PATH": _path(self.slot.environment), "CDK_OUTDIR": str(self.output), "PWD": cwd}
        self._until = time.monotonic() + self._seconds
        try:
            write_whole(self._passing / "order", json.dumps({"cwd": cwd, "env": env, "argv": list(argv)}).encode())
            while self._thread.is_alive() or not self._lines.empty():
                check()
                with suppress(queue.Empty):
                    line = self._lines.get(timeout=_LOOK_SECONDS)
                    if line is None:
                        break
                    on_line(line)
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

    def remove(self) -> None:
        """End it, and take its folder away."""
        self.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _live(self, modules: list[str]) -> None:
        own = {name: value for name, value in self.slot.environment.variables.items() if name != "PYTHONPATH"}
        env = {
            **own,
            "PATH": _path(self.slot.environment),
            "NODE_OPTIONS": f"--require {WARM_KERNEL}",
            "STAGEDOOR_WARM_ORDER": str(self._passing / "order"),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            "CDK_VALIDATION": "false",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
        }
        command = Command(
            name="synth",
            argv=(
                str(self.slot.python),
                "-P",
                str(START),
                *(["--soon"] if self._soon else []),
                str(self._passing),
                *modules,
            ),
            cwd=self._passing,
            env=env,
            readable=(*self.slot.environment.readable, *self.slot.above, *INSIDE),
            writable=(self.tree, self.output, self._passing),
        )
        try:
            self._completed = self._executor.run(command, self._lines.put)
        except _Ended:
            pass
        except (UserError, OSError) as error:
            self._error = error
        self._lines.put(None)  # whoever waits for a line need not wait longer

    def _go_on(self) -> None:
        with self._turn:
            is_late = time.monotonic() > self._until
            if not is_late and not self._ended.is_set():
                return
            was_wanted = self._used_for is not None and not self._ended.is_set()
            self._ended.set()
        if was_wanted:
            raise TookTooLong(
                f"The synth took longer than {self._seconds:g} seconds and was ended.",
                "Look at the end of its log for what it waited for; it has no network and no AWS credentials.",
            )
        raise _Ended

    def _loaded(self) -> set[str] | None:
        """The modules that it had loaded when it was ready; None where what it says cannot be read."""
        try:
            return set(json.loads(_ordinary(self._passing / "ready")))
        except (OSError, ValueError, TypeError, RecursionError):
            return None


class WarmPool:
    """At most one warm process, for the app that was synthesised last, in the tree where that lies.

    `folder` is on the disk that assemblies are written to. `check` is asked while a synth goes on; what it raises ends
    it. The executor's own limit on time must be longer than a process may wait; a synth itself has 300 s.
    """

    def __init__(self, folder: Path, executor_with: ExecutorWith, check: Callable[[], None] = go_on) -> None:
        self._folder = folder
        self._executor_with = executor_with
        self.check = check
        self._process: WarmProcess | None = None

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
        folder = new_folder(self._folder)
        self._process = WarmProcess(slot, slot.modules, folder, slot.root, self._executor_with)

    def take(self, slot: Slot, script: str) -> WarmProcess | None:
        """Return the process for the slot if it is ready for the script. Whoever takes it runs it."""
        process = self._process
        if process is None or not process.slot.same_as(slot) or not process.claim(slot, script):
            return None
        return process

    def close(self) -> None:
        """End what waits, and take its folder away."""
        if self._process is not None:
            self._process.remove()
            self._process = None


def new_folder(parent: Path) -> Path:
    """Return a new folder for a warm process."""
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="warm-", dir=parent)).resolve()


def _ordinary(file: Path) -> bytes:
    """Return what is in a file that a stranger may change while it is read. Raises `ValueError` for a pipe or the like,
    which would keep us waiting, and `OSError` for a link, which may lead anywhere.
    """
    with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as reading:
        if not stat.S_ISREG(os.fstat(reading.fileno()).st_mode):
            raise ValueError("not an ordinary file")
        return reading.read(_REPORT_LIMIT)


def _import_folders(slot: Slot, script: str) -> list[Path]:
    """Return where Python looks for modules before it looks among what was installed."""
    more = slot.environment.variables.get("PYTHONPATH", "").split(os.pathsep)
    return [(slot.app_dir / script).parent, *(Path(folder) for folder in more if folder)]


def _modules_of(folders: Iterable[Path]) -> set[str]:
    """Return the top-level modules that Python finds in folders before it finds those that are installed."""
    found: set[str] = set()
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                name, _, kind = entry.name.partition(".")
                if kind.endswith(("py", "so")) or os.path.exists(f"{entry.path}/__init__.py"):
                    found.add(name)
    return found


def _path(environment: Environment) -> str:
    base = environment_from(os.environ, Path("/"), registry=False)["PATH"]
    return ":".join([*map(str, environment.path), base])
