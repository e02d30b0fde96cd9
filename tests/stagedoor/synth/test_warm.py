"""A warm process gives what a cold one gives. Dependencies are those of `examples/notes`, as other tests have them."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.events import Event, silent
from stagedoor.synth.executor import Command, Completed, Executor, Limits, LocalProcessExecutor
from stagedoor.synth.program import SynthRequest
from stagedoor.synth.synthesis import SynthFailed, synthesize
from stagedoor.synth.warm import WarmPool, script_of
from stagedoor.target import Trust
from tests.stagedoor.assembly.conftest import ROOT

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("cdk")]

_TEMPORARY = re.compile(r"/tmp/[\w/.-]+/(?=node_modules|lib/program)")
"""Where jsii unpacks itself, which is another place in each process, and stands in the traces of warnings."""


ASKING = """
import os, sys
print("told", os.getcwd(), sys.argv, __name__, os.environ.get("NODE_OPTIONS"))
"""
TELLING = """
context = app.node.try_get_context
print("told", context("word"), context("stagedoor:stage"), os.environ["STAGEDOOR_STAGE"])
"""


@pytest.fixture
def notes(tmp_path: Path) -> SynthRequest:
    tree = tmp_path / "notes"
    shutil.copytree(ROOT / "examples" / "notes", tree, ignore=shutil.ignore_patterns(".venv", "cdk.out", "__pycache__"))
    (tree / "cdk.json").write_text(json.dumps({"app": "python app.py", "context": {"word": "one"}}))
    return SynthRequest(
        app_dir=tree,
        root=tree,
        output=tmp_path / "cold",
        stage="pr-7",
        account="111111111111",
        region="eu-west-1",
        cache_dir=ROOT / ".stagedoor" / "cache",
        trust=Trust.PREVIEW,
        remember=False,
    )


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[WarmPool]:
    with WarmPool(tmp_path / "pool", lambda check: LocalProcessExecutor(Limits(seconds=3600), check=check)) as warm:
        yield warm


def files(assembly: Path) -> dict[str, str]:
    found = {path.relative_to(assembly).as_posix(): path for path in assembly.rglob("*") if path.is_file()}
    return {name: _TEMPORARY.sub("/", path.read_text()) for name, path in found.items()}


def wait_until_ready(pool: WarmPool) -> None:
    until = time.monotonic() + 120
    while pool.loading:
        assert time.monotonic() < until
        time.sleep(0.02)


class Nothing:
    """Runs nothing: what is printed was printed by a process that was there before."""

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        pytest.fail(f"this was run: {command}")


def test_a_warm_process_gives_the_same_assembly_and_the_same_errors(
    notes: SynthRequest, warm: WarmPool, tmp_path: Path
):
    by_hand = replace(notes, command="exec python app.py", output=tmp_path / "by-hand")  # no line that is taken over
    expected = files(synthesize(by_hand, LocalProcessExecutor(), silent))
    assert files(synthesize(notes, LocalProcessExecutor(), silent, warm=warm)) == expected
    wait_until_ready(warm)

    # All that it is told it is told when it is used: another stage, another context, another program.
    program = notes.app_dir / "app.py"
    program.write_text(f"{ASKING}{program.read_text()}{TELLING}")
    events: list[Event] = []
    again = replace(notes, output=tmp_path / "warm", stage="pr-8", context={"word": "two"})
    assembly = synthesize(again, Nothing(), events.append, warm=warm)
    printed = [event.message for event in events if event.message.startswith("told")]
    assert printed == [f"told {notes.app_dir} ['app.py'] __main__ None", "told two pr-8 pr-8"]
    assert files(assembly) == expected

    wait_until_ready(warm)
    program.write_text("def build():\n    raise ValueError('no such table')\n\nbuild()\n")
    failures = []
    for name, command in {"by-hand": "exec python app.py", "cold": None, "warm": None}.items():
        executor: Executor = Nothing() if name == "warm" else LocalProcessExecutor()
        asked = replace(notes, output=tmp_path / f"{name}-failed", command=command)
        with pytest.raises(SynthFailed) as failed:
            synthesize(asked, executor, silent, warm=warm if name == "warm" else None)
        failures.append((failed.value.detail, failed.value.location))
    assert failures[0] == failures[1] == failures[2]
    assert "no such table" in failures[0][0]


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("python app.py", ["app.py"]),
        ("python3 infra/app.py --stage dev", ["infra/app.py", "--stage", "dev"]),
        ("python -O app.py", None),
        ("python app.py && touch done", None),
        ("python app.py $STAGE", None),
        ("uv run app.py", None),
        ("PYTHONPATH=. python app.py", None),
    ],
)
def test_only_a_plain_command_line_is_taken_over(line, argv):
    assert script_of(line) == argv
