"""What to do about a stage: a pure decision on what its row says."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from service.models import Want

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 600.0


class Action(StrEnum):
    """What a reconciler does next with a stage."""

    REST = "rest"  # it is as it is wanted, or was tried and waits for its author
    WAIT = "wait"  # an error of ours is to be tried again later
    DEPLOY = "deploy"
    REMOVE = "remove"
    REFUSE = "refuse"  # a protected stage is never removed by an intent


@dataclass(frozen=True, slots=True)
class StageView:
    """What the decision needs to know of a stage: its row and its newest intent."""

    wanted_generation: int
    done_generation: int
    want: Want
    protected: bool
    not_before: datetime | None


def decide(stage: StageView, moment: datetime) -> Action:
    """Return what to do about `stage` at `moment`."""
    if stage.done_generation >= stage.wanted_generation:
        return Action.REST
    if stage.not_before is not None and moment < stage.not_before:
        return Action.WAIT
    if stage.want is not Want.GONE:
        return Action.DEPLOY
    return Action.REFUSE if stage.protected else Action.REMOVE


def retry_after(attempts: int, first: float = FIRST_RETRY_SECONDS) -> timedelta:
    """Return how long to wait after so many failed attempts (1 is the first): doubling, ten minutes at the most."""
    return timedelta(seconds=min(first * 2 ** min(attempts - 1, 20), LONGEST_RETRY_SECONDS))
