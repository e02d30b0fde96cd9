"""What is said of what code asks for and does not have. Imported when there is something to say."""

import os
from collections.abc import Sequence
from difflib import get_close_matches

from stagedoor.runtime.variables import bound


def no_kind(kind: str, kinds: Sequence[str]) -> str:
    """Return what is said of a kind that there is not, as Python says it of any module."""
    return f"module 'stagedoor.runtime' has no attribute {kind!r}.{_meant(kind, kinds)}"


def no_property(resource: str, name: str, names: Sequence[str]) -> str:
    """Return what is said of a property that a resource does not have."""
    return f"{resource} has no {name!r}; it has {', '.join(names)}.{_meant(name, names)}"


def not_bound(kind: str, name: str) -> str:
    """Return which function lacks which resource, and what to add where."""
    names = [f"{one}.{other}" for one, other in bound()]
    has = f"It is bound to {', '.join(names)}." if names else "It is bound to nothing."
    function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
    remedy = (
        f"Add {kind}.{name} where the function is made: bind=[…, {_as_variable(name)}]."
        if function
        else "Run it as `stagedoor shell --stage … -- COMMAND`, or a test within stagedoor.runtime.testing.bindings(…)."
    )
    who = f"The function {function}" if function else "This process"
    return f"{who} is not bound to {kind}.{name}. {remedy} {has}{_meant(f'{kind}.{name}', names)}"


def _as_variable(name: str) -> str:
    """Return what an app calls the construct most likely: `StripeKey` is in `stripe_key`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _meant(word: str, words: Sequence[str]) -> str:
    close = get_close_matches(word, words, 1)
    return f" Did you mean {close[0]}?" if close else ""
