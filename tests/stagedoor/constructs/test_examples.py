"""The example in each construct's docstring makes what it says, and is the one that docs/constructs.md has."""

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from constructs import Construct

import stagedoor.constructs
from stagedoor.constructs import App, Queue, Stack, Table

DOCS = Path(__file__).parents[3] / "docs" / "constructs.md"
NAMES = sorted(
    name
    for name in stagedoor.constructs.__all__
    if inspect.isclass(thing := getattr(stagedoor.constructs, name)) and issubclass(thing, Construct)
)


def example_of(construct: Any) -> str:
    """Return the first part of a docstring that is set in, as code."""
    found = re.search(r"(?:^|\n)\n((?:(?:    .*)?\n)+)", f"{inspect.getdoc(construct)}\n")
    assert found, f"{construct.__name__} has no example"
    return textwrap.dedent(found[1]).strip()


WITHOUT_RESOURCES = {"App", "Stack", "Secret", "Parameter"}
"""Constructs of which no resource is made, or which are aws-cdk-lib's own."""


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_RESOURCES))
def test_all_that_are_made_of_resources_hand_them_out_and_take_arguments_for_them(name: str):
    construct = getattr(stagedoor.constructs, name)
    assert isinstance(inspect.getattr_static(construct, "nodes"), property)
    assert inspect.signature(construct.__init__).parameters["cdk"].kind is inspect.Parameter.KEYWORD_ONLY
    section = DOCS.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert "Nodes: `" in section


@pytest.mark.parametrize("name", NAMES)
def test_an_example_works_and_is_in_the_docs(name: str, app_folder: Path, new_app: Callable[..., App]):
    construct = getattr(stagedoor.constructs, name)
    example = example_of(construct)
    for module, function in re.findall(r'"([a-z_/]+)\.([a-z_]+)"', example):
        handler = app_folder / f"{module}.py"
        handler.parent.mkdir(parents=True, exist_ok=True)
        with handler.open("a") as file:
            file.write(f"def {function}(event, context): ...\n")
    app = new_app()
    stack = Stack(app, "Given")
    (app_folder / "docs").mkdir()
    (app_folder / "docs" / "index.html").write_text("<p>{{ API_URL }}</p>")
    api = SimpleNamespace(url="https://api.example.com")
    given = {"api": api, "table": Table(stack, "Given", partition_key="id"), "audit": Queue(stack, "Given_Audit")}
    ours = {each: getattr(stagedoor.constructs, each) for each in stagedoor.constructs.__all__}
    exec(example, {**ours, **given, "app": app, "stack": stack})
    app.synth()
    assert f"```python\n{example}\n```" in DOCS.read_text(), f"docs/constructs.md has another example of {name}"
