"""What the switchboard says is to be done, and what it answers a bridge. Data alone."""

from dataclasses import dataclass

from service.relay.attempts import Attempt, Key
from service.relay.sessions import Session


@dataclass(frozen=True, slots=True)
class Offer:
    """Send this attempt to its session's agent; `known`: it has it already, and is only asked for the outcome."""

    session: str
    key: Key
    known: bool = False


@dataclass(frozen=True, slots=True)
class Cancel:
    """Tell the agent that nobody waits for this attempt any more."""

    session: str
    key: Key
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Wake the bridge's calls for this attempt."""

    key: Key


@dataclass(frozen=True, slots=True)
class Ended:
    """Write this attempt down."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Closed:
    """This session is no more."""

    session: Session


@dataclass(frozen=True, slots=True)
class Others:
    """Tell the stage's sessions who is there."""

    stage_id: int


Effect = Offer | Cancel | Changed | Ended | Closed | Others


@dataclass(frozen=True, slots=True)
class Wanted:
    """The bridge is to ask again, with the event, or after it has put its sandbox."""

    event: bool
    sandbox: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The bridge's call is refused with this status; `retry_after` in seconds, where it may come again."""

    status: int
    reason: str
    retry_after: int | None = None
