"""Variables of an app's `.env` files, layered by stage: the rules of `stagedoor/synth/env_files.py`, and of the grammar
that python-dotenv reads. A test holds the two to each other, with texts of all kinds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from action.refusal import Place, Refused

_NOT_TOLD = ("PATH", "HOME", "TMPDIR")
_BLANK = re.compile(r"[^\S\r\n]*")
_BLANK_LINES = re.compile(r"\s*")
_BREAK = re.compile(r"\r\n|\n|\r")
_EXPORT = re.compile(r"(?:export[^\S\r\n]+)?")
_NAME = re.compile(r"(?!')([^=#\s]+)|'([^']+)'")
_EQUALS = re.compile(r"=([^\S\r\n]*)")
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_PLAIN = re.compile(r"([^\r\n]*)")
_END = re.compile(r"(?:[^\S\r\n]*#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|$)")
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def read_env_files(folder: Path, root: Path, stage: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Return what an app's program is told of its files; `ours` is the environment whose values come before theirs."""
    known: dict[str, str] = {}
    for name in (".env", ".env.local", f".env.{stage}", f".env.{stage}.local"):
        file = folder / name
        if not file.is_symlink() and not file.exists():
            continue
        at = file.relative_to(root).as_posix()
        for key, value in parse(_text(file, root, at), at):
            known[key] = ours[key] if key in ours else _resolved(value, known)
    return {key: value for key, value in known.items() if key not in _NOT_TOLD}


def parse(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield each name, and what stands there for its value. Raises `Refused` at the first line that is none."""
    text = text[1:] if text.startswith("\ufeff") else text
    at = 0
    while at < len(text):
        reading = _Reading(text, at)
        binding = reading.binding()
        if reading.failed:
            line = len(_BREAK.findall(text[:at])) + 1
            what = f"A line of {name} gives no variable a value: {reading.rest().strip()[:20]!a}…"
            remedy = "Write NAME=value; put quotes around a value with spaces, and # before a comment."
            raise Refused("invalid-env-file", what, remedy, place=Place(name, line))
        if binding is not None:
            yield binding
        at = reading.at


class _Reading:
    """One binding of a text, read from a place on; `at` is where the next one begins."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._start = at
        self.at = at
        self.failed = False

    def binding(self) -> tuple[str, str] | None:
        """Return it; None for a comment, for what is blank, and where it failed."""
        self._take(_BLANK_LINES)
        if self.at == len(self._text):
            return None
        self._take(_EXPORT)
        name = "" if self._next() == "#" else self._group(_NAME)
        self._take(_BLANK)
        value = self._value() if not self.failed and self._next() == "=" else ""
        self._take(_END)
        return (name, value) if name and not self.failed else None

    def rest(self) -> str:
        """Return the text of a binding that failed, to the end of its line."""
        found = _BREAK.search(self._text, self.at)
        return self._text[self._start : found.start() if found else len(self._text)]

    def _value(self) -> str:
        spaces = self._group(_EQUALS)
        first = self._next()
        if first == "#" and spaces:
            return ""
        if first == "'":
            return re.sub(r"\\([\\'])", r"\1", self._group(_SINGLE))
        if first == '"':
            return re.sub(r"\\([\\'\"abfnrtv])", lambda hit: _ESCAPES.get(hit[1], hit[1]), self._group(_DOUBLE))
        if first in ("", "\n", "\r"):
            return ""
        return re.sub(r"\s+#.*", "", self._group(_PLAIN)).rstrip()

    def _next(self) -> str:
        return self._text[self.at : self.at + 1]

    def _group(self, pattern: re.Pattern[str]) -> str:
        found = self._take(pattern)
        return next((each for each in found.groups() if each is not None), "") if found else ""

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = None if self.failed else pattern.match(self._text, self.at)
        if found is None:
            self.failed = True
        else:
            self.at = found.end()
        return found


def _resolved(value: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda hit: known.get(hit[1], hit[2] or ""), value)


def _text(file: Path, root: Path, at: str) -> str:
    real = file.resolve()
    if root.resolve() not in real.parents or not real.is_file():
        raise Refused(
            "unsafe-file",
            f"{file.name} is not an ordinary file of the repository.",
            "Commit the file itself, not a link that leads out of the repository.",
            place=Place(at),
        )
    return real.read_text(encoding="utf-8", errors="replace")
