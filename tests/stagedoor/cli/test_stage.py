"""What of a stage was read a moment ago is used; what is older is not."""

import time
from unittest.mock import Mock

import pytest

from stagedoor.cli.stage import FoundStage


def stack(name: str) -> Mock:
    found = Mock()
    found.name = name
    return found


@pytest.mark.parametrize(("age", "used"), [(0.0, True), (5.0, False)], ids=["a moment ago", "before a synth"])
def test_only_stacks_that_were_read_a_moment_ago_are_planned_on(age: float, used: bool):
    stacks = [stack("Base"), stack("Web")]
    found = FoundStage(Mock(), Mock(), Mock(), stacks, (), read_at=time.monotonic() - age)
    assert found.just_seen() == ({"Base": stacks[0], "Web": stacks[1]} if used else None)
