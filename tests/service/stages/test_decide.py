from datetime import UTC, datetime, timedelta

import pytest

from service.models import Want
from service.stages.decide import Action, StageView, decide, retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("view", "action"),
    [
        (StageView(3, 3, Want.COMMIT, False, None), Action.REST),
        (StageView(3, 2, Want.COMMIT, False, None), Action.DEPLOY),
        (StageView(3, 2, Want.ASSEMBLY, False, None), Action.DEPLOY),
        (StageView(3, 2, Want.GONE, False, None), Action.REMOVE),
        (StageView(3, 2, Want.GONE, True, None), Action.REFUSE),
        (StageView(3, 2, Want.COMMIT, True, None), Action.DEPLOY),
        (StageView(3, 2, Want.COMMIT, False, NOW + timedelta(seconds=1)), Action.WAIT),
        (StageView(3, 2, Want.COMMIT, False, NOW - timedelta(seconds=1)), Action.DEPLOY),
        (StageView(3, 3, Want.GONE, False, NOW + timedelta(seconds=1)), Action.REST),
    ],
)
def test_decision(view, action):
    assert decide(view, NOW) is action


def test_retries_come_later_and_later_but_come():
    waits = [retry_after(attempt).total_seconds() for attempt in range(1, 40)]
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 600
