"""Which modules of `aws_cdk` an app loads through Stagedoor's constructs, told from the constructs' own text.

The app names none of them, and the engine does not load constructs to find out.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

_CONSTRUCTS = Path(__file__).parents[1] / "constructs"
_APP = Path(__file__).parents[1] / "app.py"
_CLASS = re.compile(r"^class (\w+)", re.MULTILINE)
_IMPORT = re.compile(r"^from stagedoor\.constructs\.([\w.]+) import", re.MULTILINE)
_MODULE = re.compile(r"^from aws_cdk import (aws_\w+)", re.MULTILINE)
"""At the beginning of a line: what is imported further in is not loaded by most apps."""


def modules_behind(words: Iterable[str]) -> set[str]:
    """Return the names such as `aws_lambda` in the modules that define constructs named in an app, and in theirs."""
    texts = _texts()
    used = set(words)
    waiting = [name for name, text in texts.items() if used & set(_CLASS.findall(text))]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found and name in texts:
            found.add(name)
            waiting += _IMPORT.findall(texts[name])
    return {module for name in found for module in _MODULE.findall(texts[name])}


@functools.cache
def _texts() -> dict[str, str]:
    """Return the text of each module of the constructs, by its dotted name below their package."""
    texts = {"app": _APP.read_text()}
    for file in _CONSTRUCTS.rglob("*.py"):
        name = ".".join(file.relative_to(_CONSTRUCTS).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":  # it names all of them, and loads none
            texts[name] = file.read_text()
    return texts
