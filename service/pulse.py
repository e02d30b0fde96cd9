"""How much there is to do and how many are connected, as lines of the log: what an autoscaler counts.

On AWS a metric filter on the log group makes metrics of them (infra/), so no process needs a right or a call for it.
"""

import asyncio

import structlog
from sqlalchemy import func, select

from service.database import Sessions
from service.models import Source, Stage
from service.relay.relay import Relay

log = structlog.get_logger(__name__)
PULSE_SECONDS = 60.0
BEHIND, CONNECTED = "pulse: behind", "pulse: connected"
"""The lines' `event`; the first has the field `behind`, the second `sessions` and `under_way`."""


def say_behind(sessions: Sessions) -> int:
    """Log how many stages and sources are not yet as they are wanted, and return 0: there was nothing to put right."""
    stages = select(func.count()).select_from(Stage).where(Stage.wanted_generation > Stage.done_generation)
    sources = select(func.count()).select_from(Source).where(Source.generation > Source.done_generation)
    with sessions() as session:
        behind = (session.scalar(stages) or 0) + (session.scalar(sources) or 0)
    log.info(BEHIND, behind=behind)
    return 0


async def relay_pulse(relay: Relay) -> None:
    """Log how many developers are connected to this process, and how many invocations are under way, for ever."""
    while True:
        log.info(CONNECTED, sessions=len(relay.switchboard.sessions), under_way=relay.switchboard.under_way())
        await asyncio.sleep(PULSE_SECONDS)
