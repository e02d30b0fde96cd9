"""Takes one of the service's protections away, to see that the storm notices. No test imports it.

    CHAOS_WITHOUT=check,fence pytest tests/chaos/test_storm.py

Python imports this file when a process starts that has this folder on its path; `place.py` puts it on the path of the
service's processes when CHAOS_WITHOUT is set.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy.orm import Session

from service.database import Sessions, now
from service.models import Stage
from service.stages import lease, reconcile
from stagedoor.deploy import change_set, plan

without = os.environ.get("CHAOS_WITHOUT", "").split(",")


@contextmanager
def _unfenced(self: lease.Lease) -> Iterator[tuple[Session, Stage]]:
    with self.sessions.begin() as session:
        yield session, session.get_one(Stage, self.stage_id, with_for_update=True)


def _acquire(sessions: Sessions, stage_id: int, holder: str, seconds: float) -> lease.Lease:
    with sessions.begin() as session:
        stage = session.get_one(Stage, stage_id, with_for_update=True)
        stage.holder, stage.fence = holder, stage.fence + 1
        stage.lease_until = now(session) + timedelta(seconds=seconds)
        return lease.Lease(sessions, stage_id, holder, stage.fence, seconds, lease.elapsed() + seconds)


if "check" in without:  # the clock is not asked before a call
    setattr(lease.Lease, "check", lambda self: None)  # noqa: B010
if "fence" in without:  # a write is not refused when the fence has moved
    setattr(lease.Lease, "fenced", _unfenced)  # noqa: B010
    setattr(lease.Lease, "renew", lambda self: None)  # noqa: B010
if "discard" in without:  # what a predecessor prepared is left where it is
    setattr(change_set, "waiting_change_sets", lambda clients, arn: [])  # noqa: B010
    setattr(plan, "waiting_change_sets", lambda clients, arn: [])  # noqa: B010
if "lease" in without:  # a stage is taken although somebody holds it
    setattr(reconcile, "acquire", _acquire)  # noqa: B010
