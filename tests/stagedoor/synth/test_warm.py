"""A warm process gives what a cold one gives. Dependencies are those of `examples/notes`, as other tests have them."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.events import Event, silent
from stagedoor.synth.ahead import Ahead, slot_ahead
from stagedoor.synth.dependencies import install
from stagedoor.synth.executor import Command, Completed, Executor, Limits, LocalProcessExecutor
from stagedoor.synth.program import SynthRequest, read_program
from stagedoor.synth.running import SynthFailed
from stagedoor.synth.synthesis import synthesize
from stagedoor.synth.warm import Slot, WarmPool, script_of
from stagedoor.synth.warm_keeper import KeptWarm, WarmKeeper
from stagedoor.synth.warm_rooms import WarmRooms
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


def copied(folder: Path) -> SynthRequest:
    tree = folder / "notes"
    shutil.copytree(ROOT / "examples" / "notes", tree, ignore=shutil.ignore_patterns(".venv", "cdk.out", "__pycache__"))
    (tree / "cdk.json").write_text(json.dumps({"app": "python app.py", "context": {"word": "one"}}))
    return SynthRequest(
        app_dir=tree,
        root=tree,
        output=folder / "cold",
        stage="pr-7",
        account="111111111111",
        region="eu-west-1",
        cache_dir=ROOT / ".stagedoor" / "cache",
        trust=Trust.PREVIEW,
        remember=False,
    )


@pytest.fixture
def notes(tmp_path: Path) -> SynthRequest:
    return copied(tmp_path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The assembly as the app writes it by a command line that nobody takes over."""
    notes = replace(copied(tmp_path_factory.mktemp("by-hand")), command="exec python app.py")
    return files(synthesize(notes, LocalProcessExecutor(), silent))


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[WarmPool]:
    with WarmPool(tmp_path / "pool", lambda check: LocalProcessExecutor(Limits(seconds=3600), check=check)) as warm:
        yield warm


def files(assembly: Path) -> dict[str, str]:
    found = {path.relative_to(assembly).as_posix(): path for path in assembly.rglob("*") if path.is_file()}
    return {name: _TEMPORARY.sub("/", path.read_text()) for name, path in found.items()}


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


class Nothing:
    """Runs nothing: what is printed was printed by a process that was there before."""

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        pytest.fail(f"this was run: {command}")


def test_a_warm_process_gives_the_same_assembly_and_the_same_errors(
    notes: SynthRequest, expected: dict[str, str], warm: WarmPool, tmp_path: Path
):
    assert files(synthesize(notes, LocalProcessExecutor(), silent, warm=warm)) == expected
    until(lambda: not warm.loading)

    # All that it is told it is told when it is used: another stage, another context, another program.
    program = notes.app_dir / "app.py"
    program.write_text(f"{ASKING}{program.read_text()}{TELLING}")
    events: list[Event] = []
    again = replace(notes, output=tmp_path / "warm", stage="pr-8", context={"word": "two"})
    assembly = synthesize(again, Nothing(), events.append, warm=warm)
    printed = [event.message for event in events if event.message.startswith("told")]
    assert printed == [f"told {notes.app_dir} ['app.py'] __main__ None", "told two pr-8 pr-8"]
    assert files(assembly) == expected

    until(lambda: not warm.loading)
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


def test_a_process_that_was_begun_ahead_is_waited_for_and_gives_the_same(notes, expected, tmp_path):
    synthesize(replace(notes, output=tmp_path / "installed"), LocalProcessExecutor(), silent)
    slot = slot_ahead(notes.app_dir, notes.app_dir, notes.cache_dir / "preview")
    assert slot is not None
    ahead = Ahead(slot, tmp_path / "ahead")
    try:
        assert files(synthesize(notes, Nothing(), silent, warm=ahead)) == expected
    finally:
        ahead.close()
    assert list((tmp_path / "ahead").iterdir()) == []


def test_nothing_is_begun_ahead_for_what_is_not_installed_or_not_plain(notes, tmp_path):
    assert slot_ahead(notes.app_dir, notes.app_dir, tmp_path / "empty") is None
    assert slot_ahead(notes.app_dir, notes.app_dir, notes.cache_dir / "preview", "exec python app.py") is None


KERNEL = """
from jsii._runtime import kernel
node = kernel.provider._process._process
print("told", node.args[1:2], b"MINE=1" in open(f"/proc/{node.pid}/environ", "rb").read().split(b"\\0"))
"""


@pytest.mark.parametrize("shadow", [False, True], ids=["", "a module of its own under a name of Python's"])
@pytest.mark.parametrize("changes", [False, True], ids=["", "its environment changed before jsii is imported"])
def test_the_kernel_that_was_begun_early_is_as_if_jsii_had_begun_it(notes, expected, changes, shadow):
    program = notes.app_dir / "app.py"
    head = "import os\nos.environ['MINE'] = '1'\n" if changes else ""
    program.write_text(f"{head}{program.read_text()}{KERNEL}")
    if shadow:
        (notes.app_dir / "wave.py").write_text("raise ImportError('nobody wants it')\n")
    events: list[Event] = []
    assert files(synthesize(notes, LocalProcessExecutor(), events.append)) == expected
    told = [event.message for event in events if event.message.startswith("told")]
    assert told == [f"told ['--max-old-space-size=4069'] {changes}"]


def test_one_that_waited_in_a_room_gives_the_same_in_a_tree_that_came_later(
    notes: SynthRequest, expected: dict[str, str], tmp_path: Path
):
    later = tmp_path / "later"
    rooms = WarmRooms(tmp_path / "rooms", lambda check: LocalProcessExecutor(Limits(seconds=math.inf), check=check))
    keeper = WarmKeeper(rooms)
    try:
        cache = notes.cache_dir / "preview"
        environment = install(notes.app_dir, notes.app_dir, cache, LocalProcessExecutor(), silent)
        with KeptWarm(keeper.door) as warm:
            warm.fill(Slot.of(read_program(notes), environment))
        until(lambda: [process for process in rooms.waiting if process.ready])
        notes.app_dir.rename(later)
        with KeptWarm(keeper.door) as warm:
            request = replace(notes, app_dir=later, root=later, stage="pr-9", output=tmp_path / "warm")
            assert files(synthesize(request, Nothing(), silent, warm=warm)) == expected
    finally:
        keeper.close()


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
