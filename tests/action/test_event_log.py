"""Every part of an event may be a stranger's: a construct's path is whatever a template says."""

import io
from typing import Any

import pytest

from action.event_log import EventLog
from action.runner import Runner
from tests.action.runner_commands import Heard, lines_of
from tests.action.test_runner_commands import INJECTIONS


def heard(kind: str, event: dict[str, Any]) -> Heard:
    out = io.StringIO()
    log = EventLog(Runner({}, out))
    log.write(kind, event)
    log.close()
    found = Heard()
    for line in lines_of(out.getvalue()):
        found.take(line)
    return found


@pytest.mark.parametrize("text", [*INJECTIONS, "a\n::set-output name=url::https://evil.test", "a\r::add-mask::b"])
@pytest.mark.parametrize("part", ["kind", "subject", "status", "message"])
@pytest.mark.parametrize("kind", ["log", "warning", "phase", "stack"])
def test_no_part_of_an_event_is_a_command(kind: str, part: str, text: str):
    event = {"subject": "Tiny/Table", "status": "started", "message": "words", part: text}
    found = heard(text if part == "kind" else kind, event)
    assert (found.annotations, found.masks, found.outputs, found.others, found.stopped) == ([], [], {}, [], "")
