"""On a real terminal: a tree that is drawn anew, questions, and the outputs as a table."""

import fcntl
import os
import pty
import re
import select
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from subprocess import Popen

from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.cli.command import Command, stack_name


@dataclass
class Terminal:
    """The person's side of a terminal: what was typed goes in, what is seen comes out."""

    master: int
    process: Popen[str]
    seen: str = ""

    def wait_for(self, text: str, seconds: float = 30.0) -> str:
        """Return all that was seen, without its colours, once `text` was."""
        deadline = time.monotonic() + seconds
        while text not in self.plain:
            assert time.monotonic() < deadline, self.plain
            assert self._read(), self.plain
        return self.plain

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def code(self) -> int:
        while self._read():
            pass
        return self.process.wait(20)

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.seen)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 20)
        try:
            chunk = os.read(self.master, 65536) if ready else b""
        except OSError:  # the other side has been closed
            return False
        self.seen += chunk.decode(errors="replace")
        return bool(chunk)


@contextmanager
def terminal(stagedoor: Command, *words: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    stagedoor = stagedoor.at(stagedoor.folder, TERM="xterm-256color", COLUMNS="120", LINES="40", LANG="C.UTF-8")
    process = stagedoor.start(
        *words,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_a_deploy_is_drawn(stagedoor: Command):
    with terminal(stagedoor, "deploy", "--stage", "dev") as seen:
        assert seen.code() == 0
        assert "tiny · stage dev · account" in seen.plain
        assert re.search(r"✓ apply", seen.plain)
        assert re.search(r"✓ tiny-dev-\w+-Tiny .* created", seen.plain)
        assert re.search(r"Tiny +Name +/?tiny-dev", seen.plain)
        assert "The stage dev of tiny is deployed." in seen.plain
        assert seen.seen.count("\x1b[?25h") == seen.seen.count("\x1b[?25l") > 0  # the cursor is there again


def test_what_is_waited_for_is_seen_and_ctrl_c_ends_it(slow: Command, scripted: ScriptedCloudFormation):
    scripted.account.held.add(stack_name(slow))
    with terminal(slow, "deploy", "--stage", "dev") as seen:
        seen.wait_for("Tiny/Word")
        assert re.search(r"Tiny/Word .*creating  AWS::SSM::Parameter", seen.plain)
        looking = scripted.gate("DescribeStackEvents")
        looking.wait()  # else it has stopped before that it will stop is drawn
        seen.type("\x03")
        seen.wait_for("Stopping at a safe point.")
        looking.opened.set()
        assert seen.code() == 130
        assert f"CloudFormation goes on with {stack_name(slow)} (creating)." in seen.plain
        assert seen.seen.count("\x1b[?25h") == seen.seen.count("\x1b[?25l")


def test_a_removal_asks(slow: Command, scripted: ScriptedCloudFormation):
    slow("deploy", "--stage", "dev")
    with terminal(slow, "remove", "--stage", "dev") as seen:
        seen.wait_for("Remove it? [y/N]")
        assert stack_name(slow) in seen.plain
        seen.type("n\n")
        assert seen.code() == 1
        assert "The stage dev stays as it is." in seen.plain
    assert scripted.changes("DeleteStack") == []
    with terminal(slow, "remove", "--stage", "dev") as seen:
        seen.wait_for("Remove it? [y/N]")
        seen.type("y\n")
        assert seen.code() == 0
        assert "The stage dev of tiny is gone." in seen.plain
