"""A real app with our constructs, from its program to an assembly with whole bundles."""

import json
import shutil
import time
from pathlib import Path

import pytest

from stagedoor.events import Event
from stagedoor.synth.executor import LocalProcessExecutor
from stagedoor.synth.program import SynthRequest
from stagedoor.synth.synthesis import synthesize
from stagedoor.target import Trust
from tests.stagedoor.bundling.project import names_in

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".stagedoor" / "cache"
APP = """
from stagedoor.constructs import App, Function, Stack

app = App("whole")
stack = Stack(app, "Whole")
Function(stack, "Python", "functions/main.handle", architecture="arm64", runtime="python3.12")
Function(stack, "Node", "node/main.handler")
app.synth()
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An app as the examples are: with the library from the folder above it, and their lock."""
    root = tmp_path.resolve() / "repository"
    shutil.copytree(ROOT / "stagedoor", root / "stagedoor", ignore=shutil.ignore_patterns("__pycache__"))
    app = root / "examples" / "shortener"
    for name, text in {
        "app.py": APP,
        "cdk.json": '{"app": "python app.py"}',
        "functions/requirements.txt": "markupsafe==3.0.2\n",
        "functions/main.py": "import markupsafe\n\ndef handle(*_): ...\n",
        "node/main.ts": "export const handler = async (): Promise<number> => 1;\n",
    }.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / "examples" / "shortener" / name, app)
    (app / "note.txt").write_text(str(time.time_ns()))  # a tree that was never seen
    return root


def synth(root: Path, output: Path) -> list[Event]:
    events: list[Event] = []
    request = SynthRequest(
        root / "examples" / "shortener", output, "pr-7", "111111111111", "eu-west-1", CACHE, Trust.PREVIEW, root=root
    )
    synthesize(request, LocalProcessExecutor(), events.append)
    return events


def bundles(assembly: Path) -> list[set[str]]:
    """What is in the assets of the functions, Node's first."""
    template = json.loads((assembly / "Whole.template.json").read_text())
    listed = json.loads((assembly / "Whole.assets.json").read_text())["files"]
    functions = [each for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    found = {}
    for function in functions:
        key = function["Properties"]["Code"]["S3Key"].removesuffix(".zip")
        found[function["Properties"]["Runtime"]] = names_in(assembly / listed[key]["source"]["path"])
    return [found[runtime] for runtime in sorted(found)]


def test_bundles_are_whole_when_the_program_has_ended_and_in_a_tree_that_is_known(repository: Path, tmp_path: Path):
    first = synth(repository, tmp_path / "first")
    node, python = bundles(tmp_path / "first")
    assert node == {"index.mjs", "index.mjs.map"}
    assert python >= {"main.py", "markupsafe", "stagedoor"}
    assert any("Completing the bundle of examples/shortener/node/main.ts" in event.message for event in first)
    again = synth(repository, tmp_path / "again")
    assert [event.status for event in again] == ["hit"]
    assert bundles(tmp_path / "again") == [node, python]
