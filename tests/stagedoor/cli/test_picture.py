"""What is drawn of events, at a time that the test sets."""

import pytest
from rich.console import Console

from stagedoor.cli.picture import Signs, picture
from stagedoor.cli.progress import Progress, words_for
from stagedoor.events import Event, EventKind


def drawn(progress: Progress, now: float) -> list[str]:
    console = Console(width=120, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(picture(progress, now, Signs()))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def resource(name: str, status: str, seconds: float | None = None, message: str = "") -> Event:
    data = {"construct_path": f"Shop/{name}/Resource", "type": "AWS::X::Y"}
    return Event(EventKind.RESOURCE, f"shop/{name}", status, message, seconds, data)


def test_what_is_waited_for_longest_comes_first_and_what_is_done_is_counted():
    progress = Progress()
    progress.take(Event(EventKind.PHASE, "apply", "started"), 0)
    progress.take(Event(EventKind.STACK, "shop", "CREATE_IN_PROGRESS"), 0)
    progress.take(resource("Role", "CREATE_IN_PROGRESS"), 0)
    progress.take(resource("Role", "CREATE_COMPLETE", 15.0), 15)
    progress.take(resource("Bucket", "CREATE_IN_PROGRESS"), 20)
    progress.take(resource("Site", "CREATE_IN_PROGRESS"), 5)
    assert drawn(progress, 75) == [
        "⠋ apply 1 min 15 s",
        "⠋ shop 1 min 15 s creating 1 resource",
        "⠋ Shop/Site 1 min 10 s creating AWS::X::Y",
        "⠋ Shop/Bucket 55 s creating AWS::X::Y",
    ]


def test_a_stack_that_is_done_is_one_line():
    progress = Progress()
    progress.take(Event(EventKind.PHASE, "apply", "started"), 0)
    progress.take(Event(EventKind.STACK, "shop", "UPDATE_IN_PROGRESS"), 0)
    for name, seconds in (("Role", 2.0), ("Site", 40.0)):
        progress.take(resource(name, "UPDATE_IN_PROGRESS"), 0)
        progress.take(resource(name, "UPDATE_COMPLETE", seconds), seconds)
    progress.take(Event(EventKind.STACK, "shop", "UPDATE_COMPLETE", seconds=41.0), 41)
    progress.take(Event(EventKind.PHASE, "apply", "done", seconds=41.5), 42)
    assert drawn(progress, 60) == ["✓ apply 42 s", "✓ shop 41 s updated 2 resources, slowest Shop/Site 40 s"]


def test_what_failed_stays_to_be_seen_when_the_stack_has_rolled_back():
    progress = Progress()
    progress.take(Event(EventKind.PHASE, "apply", "started"), 0)
    progress.take(Event(EventKind.STACK, "shop", "CREATE_IN_PROGRESS"), 0)
    progress.take(resource("Role", "CREATE_IN_PROGRESS"), 0)
    progress.take(resource("Role", "CREATE_FAILED", 1.0, "no"), 1)
    progress.take(Event(EventKind.STACK, "shop", "ROLLBACK_IN_PROGRESS"), 1)
    progress.take(Event(EventKind.STACK, "shop", "ROLLBACK_COMPLETE", seconds=2.0), 2)
    assert drawn(progress, 2)[1:] == ["✗ shop 2.0 s rolled back 1 resource", "✗ Shop/Role 1.0 s failed AWS::X::Y"]


def test_the_last_line_of_the_app_is_shown_while_it_is_fresh():
    progress = Progress()
    progress.take(Event(EventKind.PHASE, "synth", "started"), 0)
    progress.take(Event(EventKind.LOG, "synth", message="\x1b[31mbundling\x1b[0m"), 2)
    assert drawn(progress, 3) == ["⠋ synth 3.0 s bundling"]
    assert drawn(progress, 9) == ["⠋ synth 9.0 s"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("CREATE_IN_PROGRESS", "creating"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "cleaning up"),
        ("UPDATE_COMPLETE", "updated"),
        ("DELETE_FAILED", "failed"),
        ("DELETE_SKIPPED", "kept"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "rolling back"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "rolling back"),
        ("ROLLBACK_COMPLETE", "rolled back"),
        ("UPDATE_ROLLBACK_FAILED", "rollback failed"),
        ("REVIEW_IN_PROGRESS", "preparing"),
        ("unchanged", "unchanged"),
        ("SOMETHING_NEW", "something new"),
    ],
)
def test_statuses_in_words(status: str, words: str):
    assert words_for(status) == words


def test_a_stack_that_waits_says_for_which_and_a_slow_resource_what_is_usual():
    progress = Progress()
    progress.take(Event(EventKind.PHASE, "apply", "started"), 0)
    progress.take(Event(EventKind.STACK, "web", "waiting", "for data"), 0)
    progress.take(Event(EventKind.STACK, "data", "CREATE_IN_PROGRESS"), 0)
    slow = {"construct_path": "Data/Db/Resource", "type": "AWS::RDS::DBInstance"}
    progress.take(Event(EventKind.RESOURCE, "data/Db", "CREATE_IN_PROGRESS", data=slow), 0)
    assert drawn(progress, 60)[1:] == [
        "· web waiting for data",
        "⠋ data 1 min 0 s creating",
        "⠋ Data/Db 1 min 0 s creating AWS::RDS::DBInstance usually 5 to 15 minutes",
    ]
    progress.take(Event(EventKind.STACK, "web", "CREATE_IN_PROGRESS"), 60)
    assert drawn(progress, 70)[1] == "⠋ web 10 s creating"
