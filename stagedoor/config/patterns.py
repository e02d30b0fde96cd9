"""Patterns for branches, paths and stages: `*` is anything within one part, `**` anything, `?` one character.

The rules are those of GitHub's own filters, which authors of workflows know
(https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet), without
sets and negation. A match takes time proportional to the two lengths, whatever the pattern: the author of a pattern
cannot keep a worker busy with it.
"""

from collections.abc import Iterator


def matches(pattern: str, name: str) -> bool:
    """Return whether the whole of `name` matches `pattern`. Letters match only themselves, in their own case."""
    states = _with_empty_steps(pattern, {0})
    for character in name:
        states = _with_empty_steps(pattern, set(_after(pattern, states, character)))
    return len(pattern) in states


def covers(pattern: str, path: str) -> bool:
    """Return whether `pattern` matches `path` or a folder that `path` is in."""
    parts = path.split("/")
    return any(matches(pattern, "/".join(parts[:length])) for length in range(len(parts), 0, -1))


def literal_length(pattern: str) -> int:
    """Return how many characters of `pattern` stand for themselves: of two patterns, the longer is more specific."""
    return sum(character not in "*?" for character in pattern)


def _after(pattern: str, states: set[int], character: str) -> Iterator[int]:
    """Yield the places in the pattern that are reached by reading one character of the name."""
    for state in states:
        symbol = pattern[state : state + 1]
        if symbol == "*" and (character != "/" or _is_deep(pattern, state)):
            yield state
        elif symbol == character or (symbol == "?" and character != "/"):
            yield state + 1


def _with_empty_steps(pattern: str, states: set[int]) -> set[int]:
    """Add the places that are reached without reading anything: a star may stand for nothing, `**/` for no folder."""
    reached: set[int] = set()
    waiting = list(states)
    while waiting:
        state = waiting.pop()
        if state in reached:
            continue
        reached.add(state)
        if pattern[state : state + 1] == "*":
            waiting.append(state + 1)
            if pattern.startswith("**/", state) and (state == 0 or pattern[state - 1] == "/"):
                waiting.append(state + 3)
    return reached


def _is_deep(pattern: str, star: int) -> bool:
    """Return whether the star at this place is one of two that stand together."""
    return pattern[star + 1 : star + 2] == "*" or (star > 0 and pattern[star - 1] == "*")
