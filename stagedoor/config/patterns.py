"""Patterns for branches, paths and stages: `*` is anything within one part, `**` anything, `?` one character.

The rules are those of GitHub's own filters, which authors of workflows know
(https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet), without
sets and negation. A match takes time proportional to the two lengths, whatever the pattern: the author of a pattern
cannot keep a worker busy with it.
"""

import re
from collections.abc import Iterator

_REPEATED_STARS = re.compile(r"\*{3,}")
_REPEATED_FOLDERS = re.compile(r"(?:\*\*/)+")


def matches(pattern: str, name: str) -> bool:
    """Return whether the whole of `name` matches `pattern`. Letters match only themselves, in their own case."""
    plain = _REPEATED_FOLDERS.sub("**/", _REPEATED_STARS.sub("**", pattern))
    states = set(_from(plain, 0))
    for character in name:
        states = {reached for state in states for reached in _after(plain, state, character)}
    return len(plain) in states


def covers(pattern: str, path: str) -> bool:
    """Return whether `pattern` matches `path` or a folder that `path` is in."""
    parts = path.split("/")
    return any(matches(pattern, "/".join(parts[:length])) for length in range(len(parts), 0, -1))


def literal_length(pattern: str) -> int:
    """Return how many characters of `pattern` stand for themselves: of two patterns, the longer is more specific."""
    return sum(character not in "*?" for character in pattern)


def _after(pattern: str, state: int, character: str) -> Iterator[int]:
    """Yield the places in the pattern that are reached from one place by reading one character of the name."""
    symbol = pattern[state : state + 1]
    if symbol == "*" and (character != "/" or _is_deep(pattern, state)):
        yield state
        yield from _from(pattern, state + 1)
    elif symbol == character or (symbol == "?" and character != "/"):
        yield from _from(pattern, state + 1)


def _from(pattern: str, state: int) -> Iterator[int]:
    """Yield a place that is entered and those that are reached from it without reading anything.

    A star may stand for nothing. `**/` may stand for no folder, but only where a folder's name would begin.
    """
    yield state
    if pattern[state : state + 1] == "*":
        yield from _from(pattern, state + 1)
        if pattern.startswith("**/", state) and (state == 0 or pattern[state - 1] == "/"):
            yield from _from(pattern, state + 3)


def _is_deep(pattern: str, star: int) -> bool:
    """Return whether the star at this place is one of two that stand together."""
    return pattern[star + 1 : star + 2] == "*" or (star > 0 and pattern[star - 1] == "*")
