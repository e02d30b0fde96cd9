"""What waits in a room gives what a process of its own gives, and stays within its bounds, whoever dies.

The processes, sandboxes and sockets are real. A stand-in for the CDK loads in no time; `test_warm.py` has the real one.
"""

import json
import math
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stagedoor.errors import Cancelled
from stagedoor.events import Event
from stagedoor.synth.dependencies import Environment
from stagedoor.synth.executor import (
    Command,
    Completed,
    Limits,
    LocalProcessExecutor,
    PrintedTooMuch,
    TookTooLong,
    UsedTooMuchMemory,
    go_on,
)
from stagedoor.synth.program import SynthRequest, read_program
from stagedoor.synth.running import SynthFailed
from stagedoor.synth.synthesis import synthesize
from stagedoor.synth.warm import Slot
from stagedoor.synth.warm_keeper import KeptWarm, WarmKeeper, keepers_folder
from stagedoor.synth.warm_rooms import WarmRooms
from stagedoor.target import Trust
from tests.stagedoor.synth.small_cdk import CDK, installed
from tests.stagedoor.synth.test_executor import gone, linux_only, still_running

pytestmark = [linux_only, pytest.mark.timeout(120)]

MIB = 1024**2
BOTH_WAYS = pytest.mark.parametrize("way", ["cold", "warm"])

SYSTEM = Path("/usr/bin/python3")
WHOSE = """
import os
open("new", "w").close()
print(os.getuid(), os.stat("..").st_uid, os.stat("app.py").st_uid)
"""
COMMAND = json.dumps({"app": "python app.py one", "context": {"word": "two"}})
APP = "import aws_cdk\naws_cdk.App().synth()\n"
ASKING = """
import colorsys, json, os, stat, sys
left_out = ("HOME", "TMPDIR", "CDK_OUTDIR", "_")
told = {name: value for name, value in os.environ.items() if name not in left_out}
here = [stat.filemode(os.lstat(name).st_mode) for name in ('..', '.', 'app.py')]
asked = [told, sys.argv, sys.path, os.getcwd(), __name__, os.nice(0), os.umask(0), colorsys.__file__, here]
print(json.dumps(asked, sort_keys=True))
"""


@dataclass
class Place:
    """Runs of one app, each with a tree of its own, as a worker has them; `way` is how the next one is run."""

    folder: Path
    environment: Environment
    rooms: WarmRooms
    keeper: WarmKeeper
    limits: Limits = field(default_factory=Limits)
    check: Callable[[], None] = go_on
    runs: int = 0

    def run(self, way: str, program: str, **files: str) -> list[str]:
        """Synthesise a new tree with this program and these files; return what it printed."""
        self.runs += 1
        events: list[Event] = []
        request = self.tree(f"{way}-{self.runs}", program, **files)
        executor = LocalProcessExecutor(self.limits, check=self.check) if way == "cold" else Nothing()
        with KeptWarm(self.keeper.door, self.check) as warm:
            synthesize(request, executor, events.append, warm=warm if way == "warm" else None)
        return [event.message for event in events if not event.status]

    def run_as_it_comes(self, program: str, **files: str) -> str:
        """Synthesise a new tree; return whether that was done warm or cold. Nothing is got ready after it."""
        self.runs += 1
        events: list[Event] = []
        request = self.tree(f"any-{self.runs}", program, **files)
        synthesize(request, LocalProcessExecutor(), events.append, warm=KeptWarm(self.keeper.door))
        assert all((request.app_dir / file).is_file() for file in ("app.py", "cdk.json", *files))
        assert os.listdir(request.output) == ["manifest.json"]
        return "warm" if "warm" in [event.status for event in events] else "cold"

    def tree(self, name: str, program: str, **files: str) -> SynthRequest:
        tree = self.folder / name / "tree"
        for file, text in {"cdk.json": '{"app": "python app.py one"}', "app.py": program, **files}.items():
            (tree / "infra" / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / "infra" / file).write_text(text)
        output, cache = self.folder / name / "cdk.out", self.folder / "cache"
        app_dir = tree / "infra"
        return SynthRequest(
            app_dir, output, "pr-7", "1" * 12, "eu-west-1", cache, Trust.PREVIEW, root=tree, remember=False
        )

    def get_ready(self) -> None:
        """See to it that a process waits."""
        self.fill()
        until(lambda: any(one.ready and one.slot.environment == self.environment for one in self.rooms.waiting))

    def fill(self) -> None:
        """Do what a run does at its end."""
        slot = Slot.of(read_program(self.tree("earlier", APP)), self.environment)
        self.rooms.fill(slot, slot.modules)


class Nothing:
    """Runs nothing: what is run is run by a process that was there before."""

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        pytest.fail(f"this was run: {command}")


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with keepers_folder(tmp_path / "warm") as folder:
        limits = Limits(seconds=math.inf, memory=300 * MIB, output=MIB)
        rooms = WarmRooms(folder, lambda check: LocalProcessExecutor(limits, check=check), memory=180 * MIB, seconds=3)
        made = Place(tmp_path, installed(tmp_path / "made"), rooms, WarmKeeper(rooms))
        made.limits = replace(limits, seconds=3)
        monkeypatch.setattr("stagedoor.synth.running.install", lambda *_anything: made.environment)
        yield made
        made.keeper.close()
        assert not made.rooms.waiting
        assert not still_running(str(tmp_path))
    assert not folder.exists()


def test_the_program_is_told_the_same_and_sees_the_same(place: Place):
    made = place.environment
    place.environment = replace(made, variables={"PYTHONPATH": f"{place.folder}/earlier/tree/src"})
    place.get_ready()
    place.environment = replace(made, variables={"PYTHONPATH": f"{place.folder}/run/tree/src"})
    told = {
        way: [line.replace(f"{way}-{number}", "run") for line in place.run(way, ASKING + APP, **{"cdk.json": COMMAND})]
        for number, way in enumerate(("cold", "warm"), 1)
    }
    assert told["warm"] == told["cold"]
    assert '"word"' in told["warm"][0].replace("\\", "")
    assert json.loads(told["warm"][0])[3] == f"{place.folder}/run/tree/infra"


@BOTH_WAYS
@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("import time; time.sleep(60)", TookTooLong),
        ("import os, time; os.fork(); a = bytearray(os.urandom(1)) * (180 << 20); time.sleep(60)", UsedTooMuchMemory),
        ("while True: print('x' * 4000)", PrintedTooMuch),
    ],
    ids=["time", "memory", "output"],
)
def test_the_limits_are_the_same(place: Place, way: str, program: str, error: type[Exception]):
    place.get_ready()
    with pytest.raises(error):
        place.run(way, program)
    assert not still_running(f"{way}-1")


def test_a_failure_reads_the_same(place: Place):
    failures = []
    for number, way in enumerate(("cold", "warm"), 1):
        place.get_ready()
        with pytest.raises(SynthFailed) as failed:
            place.run(way, "def build():\n    raise ValueError('no such table')\n\nbuild()\n")
        failures.append((failed.value.detail.replace(f"{way}-{number}", "run"), failed.value.location))
    assert failures[0] == failures[1]
    assert "no such table" in failures[0][0]


@BOTH_WAYS
def test_a_run_that_is_cancelled_leaves_nothing_running(place: Place, way: str):
    place.get_ready()
    ends_at = time.monotonic() + 0.5

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Cancelled

    place.check = check
    with pytest.raises(Cancelled):
        place.run(way, "import subprocess; subprocess.run(['sleep', '4711'])")
    until(lambda: not still_running("sleep\0004711"))


def test_what_a_killed_worker_had_taken_is_ended(place: Place):
    place.get_ready()
    worker = os.fork()
    if not worker:
        try:
            place.run("warm", "import subprocess; subprocess.run(['sleep', '4712'])")
        finally:
            os._exit(1)
    until(lambda: still_running("sleep\0004712"))
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert gone("sleep\0004712", within=1)


def test_nothing_outlives_a_killed_keeper_and_the_next_one_clears_up(place: Place):
    keeper = os.fork()
    if not keeper:
        try:
            with keepers_folder(place.folder / "other") as folder:
                place.rooms = WarmRooms(folder, lambda check: LocalProcessExecutor(place.limits, check=check))
                place.get_ready()
                signal.pause()
        finally:
            os._exit(1)
    other = str(place.folder / "other")
    until(lambda: list(Path(other).glob("keeper-*/warm-*/passing/ready")))
    assert still_running(other)
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    assert gone(other)
    with keepers_folder(Path(other)) as folder:
        assert list(Path(other).glob("keeper-*")) == [folder]


def test_what_is_not_served_is_run_cold_and_its_tree_is_as_it_was(place: Place):
    place.get_ready()
    first = place.environment
    assert place.run_as_it_comes(APP, **{"colorsys.py": ""}) == "cold"  # what waits has Python's own loaded
    place.environment = installed(place.folder / "other")  # of other versions, or of another trust level
    assert place.run_as_it_comes(APP) == "cold"
    place.environment = first
    place.get_ready()
    assert place.run_as_it_comes(APP) == "warm"
    place.get_ready()
    (place.rooms.waiting[-1].tree / "infra" / "in-the-way").mkdir(parents=True)
    assert place.run_as_it_comes(APP, **{f"../{number}.txt": "" for number in range(9)}) == "cold"


@pytest.mark.skipif(os.getuid() != 0 or not SYSTEM.exists(), reason="only root can become another user")
def test_as_a_user_of_its_own_it_owns_its_tree(place: Place):
    with tempfile.TemporaryDirectory(dir="/tmp") as public, keepers_folder(Path(public, "warm")) as folder:
        Path(public).chmod(0o755)
        place.folder = Path(public)
        place.environment = installed(place.folder / "made", python=str(SYSTEM))
        place.rooms = WarmRooms(folder, lambda check: LocalProcessExecutor(Limits(seconds=60), 64_123, check))
        first, place.keeper = place.keeper, WarmKeeper(place.rooms)
        place.get_ready()
        assert place.run("warm", WHOSE + APP) == ["64123 64123 64123"]
        place.keeper.close()  # what it makes ready next would be written where the folder is taken away
        place.keeper = first


def test_what_waits_holds_no_more_memory_than_it_may(place: Place):
    ballast = f"{CDK}\nballast = bytearray(os.urandom(1)) * "
    for name in ("one", "two"):
        place.environment = installed(place.folder / name, f"{ballast}({40 * MIB})")
        place.get_ready()
    place.environment = installed(place.folder / "three", f"{ballast}({80 * MIB})")
    place.get_ready()
    until(lambda: sum(process.memory for process in place.rooms.waiting) > 195 * MIB)
    place.keeper.mind()
    assert [process.slot.environment.made[0].name for process in place.rooms.waiting] == ["two", "three"]

    # What alone holds too much is not tried again.
    place.environment = installed(place.folder / "large", f"{ballast}({200 * MIB})")
    place.fill()

    def is_given_up() -> bool:
        place.keeper.mind()
        return not place.rooms.waiting

    until(is_given_up)
    place.fill()
    assert not place.rooms.waiting
