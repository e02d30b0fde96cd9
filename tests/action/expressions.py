"""Expressions of workflows, as far as `action.yml` uses them: `${{ … }}` in text, and conditions.

Source: https://docs.github.com/actions/reference/workflows-and-actions/expressions. What is not of this subset raises.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<operator>==|!=|&&|\|\||[!().])|(?P<name>[A-Za-z_][\w-]*))"
)
STATUS = frozenset({"always", "success", "failure", "cancelled"})


def interpolate(text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], Any]]) -> str:
    """Return a text with each `${{ … }}` in place."""
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: as_text(evaluate(found[1], contexts, functions)), text)


def condition(text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], Any]]) -> bool:
    """Return whether a step runs: one that asks for no status runs only after success."""
    text = re.sub(r"^\s*\$\{\{(.*)\}\}\s*$", r"\1", text)
    if not any(re.search(rf"\b{name}\(\)", text) for name in STATUS):
        text = f"success() && ({text or 'true'})"
    return _true(evaluate(text, contexts, functions))


def as_text(value: Any) -> str:
    """Return a value as GitHub puts it into a text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def evaluate(text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], Any]]) -> Any:
    """Return an expression's value."""
    return _Parser(text, contexts, functions).whole()


def _true(value: Any) -> bool:
    return value not in (None, False, 0, "")


class _Parser:
    def __init__(self, text: str, contexts: Mapping[str, Any], functions: Mapping[str, Callable[[], Any]]) -> None:
        self.tokens = list(self._tokens(text.strip()))
        self.contexts, self.functions = contexts, functions

    def whole(self) -> Any:
        value = self._either()
        assert not self.tokens, f"more than an expression: {self.tokens}"
        return value

    @staticmethod
    def _tokens(text: str) -> Any:
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            assert found, f"not of the subset: {text[at:]}"
            yield found.lastgroup, found[found.lastgroup or 0]
            at = found.end()

    def _takes(self, operator: str) -> bool:
        if self.tokens and self.tokens[0] == ("operator", operator):
            self.tokens.pop(0)
            return True
        return False

    def _either(self) -> Any:
        value = self._both()
        while self._takes("||"):
            other = self._both()
            value = value if _true(value) else other
        return value

    def _both(self) -> Any:
        value = self._equal()
        while self._takes("&&"):
            other = self._equal()
            value = other if _true(value) else value
        return value

    def _equal(self) -> Any:
        value = self._not()
        for operator, wanted in (("==", True), ("!=", False)):
            if self._takes(operator):
                return (as_text(value).lower() == as_text(self._not()).lower()) is wanted
        return value

    def _not(self) -> Any:
        if self._takes("!"):
            return not _true(self._not())
        if self._takes("("):
            value = self._either()
            assert self._takes(")")
            return value
        return self._value()

    def _value(self) -> Any:
        kind, word = self.tokens.pop(0)
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return int(word)
        assert kind == "name", word
        if self._takes("("):
            assert self._takes(")"), "functions with arguments are not of the subset"
            return self.functions[word]()
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        value: Any = self.contexts[word]
        while self._takes("."):
            value = (value or {}).get(self.tokens.pop(0)[1])
        return value
