"""Warm processes that outlive whoever uses them: RQ forks a process for each job, and one that waits needs a parent.

The *keeper* is a thread in the process that all workers of a machine are started by. Its *door* is one end of a pair
of sockets, which the workers inherit: it has no address, so no app can knock. Whoever has a run to do sends one end of
a pair of its own through the door, and converses by that. When a conversation breaks off, for whatever reason, what
was taken in it is ended. What is said are our own objects, by `multiprocessing.connection`.

    keeper: WarmKeeper(rooms) ── door, inherited ──▶ worker: KeptWarm(door, check), a `Warm` for `synthesize`
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from stagedoor.errors import UserError
from stagedoor.synth.executor import Completed, go_on
from stagedoor.synth.held_folder import held_folder
from stagedoor.synth.warm import Slot
from stagedoor.synth.warm_rooms import WarmRooms

_LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class _Take:
    """Is there a process? The answer is where it writes the assembly, or None."""

    slot: Slot
    script: str


@dataclass(frozen=True, slots=True)
class _Run:
    """Run the process that was taken. The answers are lines, and then how it ended."""

    argv: Sequence[str]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Fill:
    """Get one ready. There is no answer."""

    slot: Slot
    modules: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Refused:
    """The program passed a limit."""

    kind: type[UserError]
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Failed:
    """The program could not be run, by no fault of its own."""

    problem: str


class _BrokenOff(Exception):
    """Whoever had the program run does not want it any more, or is no more."""


@contextmanager
def keepers_folder(parent: Path) -> Iterator[Path]:
    """Yield a folder of this process's own in `parent`; take away those that killed processes left there."""
    with held_folder(parent, "keeper-", "lock") as own:
        own.chmod(0o755)  # whoever an app runs as finds its own folder in here
        yield own


class WarmKeeper:
    """Serves whoever has its door, until it is closed."""

    def __init__(self, rooms: WarmRooms) -> None:
        self._rooms = rooms
        self._inside, self._outside = socket.socketpair()
        self._talks: dict[threading.Thread, Connection] = {}
        self._thread = threading.Thread(target=self._serve, name="warm-keeper", daemon=True)
        self._thread.start()

    @property
    def door(self) -> int:
        """The descriptor that a process inherits, to knock by it."""
        return self._outside.fileno()

    def mind(self) -> None:
        """Hold the waiting processes to their bounds. To be called now and then."""
        self._rooms.mind()

    def close(self) -> None:
        """Serve nobody any more, and end what waits and what is at work; nothing of either is left."""
        self._inside.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for talk, visitor in list(self._talks.items()):
            _break_off(visitor)
            talk.join()
        self._inside.close()
        self._outside.close()
        self._rooms.close()

    def _serve(self) -> None:
        while True:
            knock, descriptors, _, _ = socket.recv_fds(self._inside, 1, 1)
            if not knock:
                return
            for descriptor in descriptors:
                visitor = Connection(descriptor)
                talk = threading.Thread(target=self._converse, args=(visitor,), name="warm-talk", daemon=True)
                self._talks = {each: other for each, other in self._talks.items() if each.is_alive()} | {talk: visitor}
                talk.start()

    def _converse(self, visitor: Connection) -> None:
        with visitor, suppress(EOFError, OSError):
            wish = visitor.recv()
            if isinstance(wish, _Fill):
                self._rooms.fill(wish.slot, wish.modules)
                return
            process = self._rooms.take(wish.slot, wish.script)
            if process is None:
                visitor.send(None)
                return
            try:
                visitor.send(process.output)
                order = visitor.recv()
                visitor.send(_outcome(lambda: process.run(order.argv, order.variables, visitor.send, _heard(visitor))))
                visitor.recv()  # until the assembly was taken away
            finally:
                process.remove()


def _break_off(visitor: Connection) -> None:
    """End a conversation from our side, for the thread that has it to hear; it may have ended by itself."""
    with suppress(OSError), socket.socket(fileno=os.dup(visitor.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


def _outcome(run: Callable[[], Completed]) -> Completed | _Refused | _Failed:
    try:
        return run()
    except UserError as error:
        return _Refused(type(error), error.what, error.remedy)
    except (_BrokenOff, OSError, RuntimeError) as problem:
        return _Failed(f"{type(problem).__name__}: {problem}")


def _heard(visitor: Connection) -> Callable[[], None]:
    """Return what raises as soon as the other side says something, or has gone."""

    def check() -> None:
        if visitor.poll():
            raise _BrokenOff

    return check


class KeptWarm:
    """A keeper's processes, for one run: what `synthesize` asks of a `Warm`, by the keeper's door.

    The process for the next run is got ready when `go_ahead` is called or this one ends: until then the processor is
    the deploy's.
    """

    def __init__(self, door: int, check: Callable[[], None] = go_on) -> None:
        self.check = check
        self._door = door
        self._talk: Connection | None = None
        self._next: _Fill | None = None

    def __enter__(self) -> "KeptWarm":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hang_up()
        self.go_ahead()

    def take(self, slot: Slot, script: str) -> "_KeptProcess | None":
        """Return a process in whose room the slot's tree lies; None where there is none (see `Warm`)."""
        self._hang_up()
        try:
            self._talk = talk = self._knock()
        except OSError:  # the keeper is no more, and neither are we for long
            return None
        talk.send(_Take(slot, script))
        output = _heard_of(talk, self.check)
        return _KeptProcess(talk, output) if isinstance(output, Path) else None

    def fill(self, slot: Slot) -> None:
        """Have a process got ready for a tree like this one, later."""
        self._hang_up()
        self._next = _Fill(slot, slot.modules)

    def go_ahead(self) -> None:
        """Have the process got ready now that was asked for."""
        asked, self._next = self._next, None
        if asked is not None:
            with suppress(OSError), self._knock() as talk:
                talk.send(asked)

    def _knock(self) -> Connection:
        ours, theirs = socket.socketpair()
        with theirs, socket.socket(fileno=os.dup(self._door)) as door:
            socket.send_fds(door, [b"."], [theirs.fileno()])
        return Connection(ours.detach())

    def _hang_up(self) -> None:
        if self._talk is not None:
            self._talk.close()
            self._talk = None


class _KeptProcess:
    """A process that was taken from a keeper."""

    def __init__(self, talk: Connection, output: Path) -> None:
        self._talk = talk
        self.output = output

    def run(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
        check: Callable[[], None] = go_on,
    ) -> Completed:
        """Run the script (see `Taken`). Whatever `on_line` or `check` raises ends it and is raised again."""
        self._talk.send(_Run(tuple(argv), dict(variables)))
        try:
            while isinstance(said := _heard_of(self._talk, check), str):
                on_line(said)
        except BaseException:
            self._stop()
            raise
        if isinstance(said, _Refused):
            raise said.kind(said.what, said.remedy)
        if isinstance(said, Completed):
            return said
        raise OSError(f"A warm process could not be used: {said}")

    def _stop(self) -> None:
        """Have it ended, and wait until it has."""
        with suppress(OSError, EOFError):
            self._talk.send(None)
            while isinstance(self._talk.recv(), str):
                pass


def _heard_of(talk: Connection, check: Callable[[], None]) -> Any:
    """Return what the other side says next. Raises what `check` raises meanwhile, and `OSError` when it has gone."""
    while not talk.poll(_LOOK_SECONDS):
        check()
    try:
        return talk.recv()
    except EOFError:
        raise OSError("The keeper of warm processes has ended.") from None
