"""What is said to the CI runner: log lines, annotations, groups, masks, outputs and the job summary.

The runner reads commands out of every line that is printed. Text that others wrote (an app's output, a branch's name)
therefore passes `harmless`, which leaves no line that the runner takes for one. Source:
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands and `ActionCommand.cs` in
https://github.com/actions/runner: `::name …::` at a line's beginning, the old `##[name …]` anywhere in it.
"""

from __future__ import annotations

import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from action.refusal import Refused

SUMMARY_LIMIT = 1024 * 1024
"""Bytes that one step may add to the job summary; a longer one is not shown at all."""

_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)
_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_GAP = "\u200b"


def plain_lines(text: str) -> list[str]:
    """Return a text's lines, without colours and control characters; whatever may end a line ends one."""
    return [_INVISIBLE.sub("", _TERMINAL.sub("", line)).rstrip() for line in text.splitlines()]


def harmless(line: str) -> str:
    """Return a line in which the runner finds no command."""
    line = line.replace("##[", f"##{_GAP}[")
    return f"{_GAP}{line}" if line.lstrip().startswith("::") else line


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Runner:
    """The runner of this step; `environ` names the files that it reads afterwards."""

    def __init__(self, environ: Mapping[str, str], out: TextIO | None = None) -> None:
        self._environ = environ
        self._out = out or sys.stdout
        self._group = False

    def line(self, text: str, source: str = "") -> None:
        """Print what somebody said; `source` stands before each of its lines."""
        before = f"{' '.join(plain_lines(source))} | " if source else ""
        for each in plain_lines(text) or [""]:
            self._write(harmless(before + each))

    def open(self, title: str) -> None:
        """Begin a group of lines, which ends the one before it: the log has no groups inside of groups."""
        self.close()
        self._command("group", " ".join(plain_lines(title)))
        self._group = True

    def close(self) -> None:
        """End the group that is open, if one is."""
        if self._group:
            self._command("endgroup", "")
            self._group = False

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Print what follows as a group."""
        self.open(title)
        try:
            yield
        finally:
            self.close()

    def error(self, refused: Refused) -> None:
        """Show an error, at its file and line where it has them, and what helps to see why before it."""
        self.close()
        if refused.detail.strip():
            with self.group("The last lines"):
                self.line(refused.detail)
        self._annotate("error", refused)

    def warning(self, refused: Refused) -> None:
        """Show what stops nothing."""
        self._annotate("warning", refused)

    def mask(self, secret: str) -> None:
        """Have the runner replace a secret by asterisks, wherever it is printed from now on."""
        for each in secret.splitlines():
            if each.strip():
                self._command("add-mask", each)

    def output(self, name: str, value: str) -> None:
        """Set an output of this step. The delimiter is random, so no value can end early and set another."""
        delimiter = f"stagedoor_{secrets.token_hex(16)}"
        self._append("GITHUB_OUTPUT", f"{name}<<{delimiter}\n{value}\n{delimiter}\n")

    def summary(self, markdown: str) -> None:
        """Add to the job's summary."""
        self._append("GITHUB_STEP_SUMMARY", markdown.encode()[: SUMMARY_LIMIT - 1].decode(errors="ignore") + "\n")

    def _annotate(self, level: str, refused: Refused) -> None:
        at = refused.place
        where = f"file={_property(at.path)},line={at.line},col={at.column}," if at else ""
        self._command(
            f"{level} {where}title={_property(f'Stagedoor: {refused.id}')}", "\n".join(plain_lines(str(refused)))
        )

    def _command(self, command: str, data: str) -> None:
        self._write(f"::{command}::{_data(data)}")

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def _append(self, variable: str, text: str) -> None:
        file = self._environ.get(variable)
        if file:
            with Path(file).open("a", encoding="utf-8", newline="\n") as opened:
                opened.write(text)
