"""The drift that hotswaps leave in a stage's stacks, kept in the database under the stage's fence.

A stage that the service deploys is changed by nobody else, so this is where every deployer of it looks. A holder that
was frozen and let go can write nothing here.
"""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database import Sessions, now
from service.models import StageStack
from service.stages.lease import Lease
from stagedoor.deploy.swapping.drift import Drift, drift_from


class DatabaseDrifts:
    """Implements `stagedoor.deploy.swapping.drift.Drifts`."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def read(self) -> dict[str, Drift]:
        """Return the drift of each stack that has any, by the stack's name."""
        with self._lease.fenced() as (session, stage):
            return _read(session, stage.id)

    def write(self, stack: str, drift: Drift) -> None:
        """Commit a stack's drift. A stack that no run has left in good order yet gets its row here."""
        with self._lease.fenced() as (session, stage):
            of_stage = StageStack.stage_id == stage.id
            row = session.scalars(select(StageStack).where(of_stage, StageStack.name == stack)).one_or_none()
            if row is None:
                last = session.scalar(select(func.max(StageStack.ordinal)).where(of_stage))
                ordinal = 0 if last is None else last + 1
                row = StageStack(stage_id=stage.id, name=stack, arn=drift.stack or None, ordinal=ordinal)
                session.add(row)
            row.drift = drift.as_json() if drift else {}
            row.updated_at = now(session)


class DriftsToRead:
    """The same for somebody who only compares."""

    def __init__(self, sessions: Sessions, stage_id: int) -> None:
        self._sessions = sessions
        self._stage_id = stage_id

    def read(self) -> dict[str, Drift]:
        """Return the drift of each stack that has any, by the stack's name."""
        with self._sessions() as session:
            return _read(session, self._stage_id)

    def write(self, stack: str, drift: Drift) -> None:
        """Refuse: a plan changes nothing."""
        raise PermissionError(f"a plan is to change nothing, not the drift of {stack} either")


def _read(session: Session, stage_id: int) -> dict[str, Drift]:
    rows = session.scalars(select(StageStack).where(StageStack.stage_id == stage_id)).all()
    return {row.name: drift_from(row.drift) for row in rows if row.drift}
