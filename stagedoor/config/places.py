"""Where each key and value of a TOML document stands, which the standard library's parser does not say.

The scanner reads only documents that `tomllib` has accepted, so it need not judge them: it follows the grammar
(https://toml.io/en/v1.0.0) far enough to tell keys, strings, arrays and tables apart.
"""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field

Path = tuple[str | int, ...]
"""Keys and array indexes from the document's root to a value."""

DEPTH = 6
"""Paths are followed so far; a document may nest deeper than any configuration does."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""' r'"{0,2}' r"|'''.*?'''" r"'{0,2}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


@dataclass(frozen=True, slots=True)
class Places:
    """Line and column, from 1, of each key and each value; columns count characters."""

    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def of_key(self, path: Path) -> tuple[int, int]:
        """Return where the key at the end of `path` is written, or the nearest one above it."""
        return self._nearest(path, (self.keys, self.values))

    def of_value(self, path: Path) -> tuple[int, int]:
        """Return where the value at `path` is written, or the nearest one above it; a table is where its name is."""
        return self._nearest(path, (self.values, self.keys))

    def _nearest(self, path: Path, orders: tuple[dict[Path, tuple[int, int]], ...]) -> tuple[int, int]:
        for length in range(len(path), 0, -1):
            for places in orders:
                if path[:length] in places:
                    return places[path[:length]]
        return 1, 1


def places_of(document: str) -> Places:
    """Return the places in a valid TOML document. May raise `RecursionError` where arrays nest very deep."""
    return _Scanner(document.replace("\r\n", "\n")).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places = Places()
        self.line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self.array_lengths: dict[Path, int] = {}

    def scan(self) -> Places:
        table: Path = ()
        while self._skip_blank() < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self.places

    def _header(self) -> Path:
        """Read `[table]` or `[[array of tables]]` and return the path of the table that it opens."""
        is_array = self.text.startswith("[[", self.at)
        brackets = 2 if is_array else 1
        self.at += brackets
        path: Path = ()
        parts = self._key()
        for number, (part, start) in enumerate(parts, 1):
            path = self._named(path, part, start)
            if is_array and number == len(parts):
                self.array_lengths[path] = self.array_lengths.get(path, 0) + 1
            if path in self.array_lengths:
                path = _below(path, self.array_lengths[path] - 1)
                self.places.values.setdefault(path, self._place(start))
        self.at += brackets
        return path

    def _pair(self, table: Path) -> None:
        """Read `key = value`, the key perhaps dotted."""
        path = table
        for part, start in self._key():
            path = self._named(path, part, start)
        self.at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _key(self) -> list[tuple[str, int]]:
        """Read a key, dotted or not, and what is blank after it; return its parts and where each begins."""
        parts = []
        while True:
            start = self._skip_blank()
            if found := _BARE_KEY.match(self.text, start):
                part = found.group()
            else:
                found = self._match(_STRING)
                part = tomllib.loads(f"key = {found.group()}")["key"]
            parts.append((part, start))
            self.at = found.end()
            if self.text[self._skip_blank()] != ".":
                return parts
            self.at += 1

    def _value(self, path: Path) -> None:
        self.places.values.setdefault(path, self._place(self.at))
        match self.text[self.at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self.at = self._match(_STRING).end()
            case _:
                self.at = self._match(_SCALAR).end()

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self.text[self._skip_blank()] != "]":
            self._value(_below(path, index))
            index += 1
            if self.text[self._skip_blank()] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self.text[self._skip_blank()] != "}":
            self._pair(path)
            if self.text[self._skip_blank()] == ",":
                self.at += 1
        self.at += 1

    def _named(self, path: Path, part: str, start: int) -> Path:
        """Note where a key is first written and return the path that it leads to."""
        path = _below(path, part)
        self.places.keys.setdefault(path, self._place(start))
        return path

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise AssertionError(f"not valid TOML at {self._place(self.at)}")
        return found

    def _skip_blank(self) -> int:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at

    def _place(self, position: int) -> tuple[int, int]:
        line = bisect_right(self.line_starts, position)
        return line, position - self.line_starts[line - 1] + 1


def _below(path: Path, part: str | int) -> Path:
    return path if len(path) >= DEPTH else (*path, part)
