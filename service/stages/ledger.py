"""A run's ledger in the database: each changing operation before its call and after it, under the stage's fence."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from service.database import now
from service.models import Run, RunStep
from service.stages.lease import Lease
from stagedoor.deploy.ledger import Step, token


class DatabaseLedger:
    """Implements `stagedoor.deploy.ledger.Ledger`. Every write locks the stage's row and compares fences."""

    def __init__(self, lease: Lease, run: Run) -> None:
        self._lease = lease
        self._run_id = run.id
        self._generation = run.generation

    def begin(self, operation: str, subject: str, before: Mapping[str, Any]) -> Step:
        """Commit the next attempt of an operation; its token is known before anything is called."""
        with self._lease.fenced() as (session, _stage):
            earlier = session.scalar(
                select(func.count())
                .select_from(RunStep)
                .where(RunStep.run_id == self._run_id, RunStep.operation == operation, RunStep.subject == subject)
            )
            attempt = (earlier or 0) + 1
            step = Step(
                operation,
                subject,
                attempt,
                token(self._generation, str(self._run_id), operation, subject, attempt),
                before,
            )
            session.add(
                RunStep(
                    run_id=self._run_id,
                    operation=operation,
                    subject=subject,
                    attempt=attempt,
                    token=step.token,
                    before=dict(before),
                    begun_at=now(session),
                )
            )
        return step

    def finish(self, step: Step, outcome: str, after: Mapping[str, Any]) -> None:
        """Commit what came of it."""
        with self._lease.fenced() as (session, _stage):
            session.execute(
                update(RunStep)
                .where(RunStep.token == step.token)
                .values(outcome=outcome, after=dict(after), finished_at=now(session))
            )

    def check(self) -> None:
        """Raise `LeaseLost` by the clock; the fence itself is compared at each write."""
        self._lease.check()
