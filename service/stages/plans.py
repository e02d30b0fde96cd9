"""Plans that are asked for: what a deploy would do to a stage. Asking for one, and who makes it.

A plan changes nothing, neither the stage nor what is wanted of it, so it needs no lease on the stage and can be made
beside a deploy. One that a process was killed over is made anew by another.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.blobs import BlobStore
from service.database import Sessions, now
from service.models import AssemblyRow, Outcome, PlanRow, Stage, Want
from service.parts import Parts
from service.stages.decide import retry_after
from service.stages.errors import TooManyPlans
from service.stages.intents import newest_intent
from service.stages.job import Job, Wanted, read_job
from service.stages.lease import MARGIN_SECONDS, elapsed
from service.stages.requests import check_commit, check_fits, locked, settings_of
from service.stages.waiting import next_look
from stagedoor.errors import Cancelled, LeaseLost

MOST_WAITING = 10
"""Plans of one stage that may be unmade at a time: each runs the app's program."""

MOST_ATTEMPTS = 3
LOOK_SECONDS = 1.0


def events_of_plan(plan_id: int) -> str:
    """Return where what is said of a plan is in the blob store, as it is made."""
    return f"{blobs_of_plan(plan_id)}events/"


def blobs_of_plan(plan_id: int) -> str:
    """Return where all of a plan is in the blob store."""
    return f"plans/{plan_id}/"


def read_plan(blobs: BlobStore, plan: PlanRow) -> dict[str, Any] | None:
    """Return what a plan says (`stagedoor.deploy.plan_json`); None where it is not made, or the store has lost it."""
    if not plan.blob:
        return None
    try:
        said: dict[str, Any] = json.loads(blobs.get(plan.blob))
    except KeyError:
        return None
    return said


def request_plan(
    session: Session,
    stage: Stage,
    *,
    commit: str | None = None,
    assembly: AssemblyRow | None = None,
    actor: str,
    unmerged: bool = False,
) -> tuple[PlanRow, bool]:
    """Ask for the plan of a commit, or of an assembly that stands for `commit`; return it, and whether it is new: one
    that is being made of the same for the same is not made twice. `unmerged` as in `PlanRow`.

    Raises what a request to deploy the same would raise, and `TooManyPlans`.
    """
    stage, newest = locked(session, stage)
    if assembly is not None:
        check_fits(assembly, stage)
    else:
        check_commit(commit or "", stage, newest)
    unmade = session.scalars(
        select(PlanRow).where(PlanRow.stage_id == stage.id, PlanRow.outcome.is_(None)).order_by(PlanRow.id)
    ).all()
    commit, assembly_id = commit or (assembly.commit if assembly else None), assembly.id if assembly else None
    for plan in unmade:
        if (plan.commit, plan.assembly_id, plan.actor, plan.unmerged) == (commit, assembly_id, actor[:255], unmerged):
            return plan, False
    if len(unmade) >= MOST_WAITING:
        raise TooManyPlans(
            f"{len(unmade)} plans of the stage {stage.name} are to be made already.", "Ask again when some are done."
        )
    plan = PlanRow(
        stage_id=stage.id,
        want=Want.ASSEMBLY if assembly else Want.COMMIT,
        commit=commit,
        assembly_id=assembly_id,
        unmerged=unmerged,
        actor=actor[:255],
        created_at=now(session),
    )
    session.add(plan)
    session.flush()
    return plan, True


def cancel_plan(session: Session, plan: PlanRow) -> bool:
    """End a plan that is not made; False: it was."""
    cancelled = session.execute(
        update(PlanRow)
        .where(PlanRow.id == plan.id, PlanRow.outcome.is_(None))
        .values(outcome=Outcome.CANCELLED, finished_at=now(session), blocked_reason=None)
        .returning(PlanRow.id)
    )
    return cancelled.scalar_one_or_none() is not None


@dataclass(slots=True)
class Claim:
    """The right to make a plan, for as long as it is renewed. Two that make the same do no harm; one is enough."""

    sessions: Sessions
    plan_id: int
    holder: str
    attempts: int
    seconds: float
    _ends: float
    _next_look: float = field(default=0.0)

    @property
    def name(self) -> str:
        """What it is on, for the log."""
        return f"plan {self.plan_id}"

    @property
    def work(self) -> str:
        """The name of its folder, which no other attempt has: one that was killed, or is frozen, left its own."""
        return f"plan-{self.plan_id}-{self.holder.rpartition(':')[2]}"

    def renew(self) -> None:
        """Prolong it; raise `LeaseLost` when somebody else has it, or nobody wants the plan any more."""
        asked = elapsed()
        with self.sessions.begin() as session:
            if not self._write(session, lease_until=now(session) + timedelta(seconds=self.seconds)):
                raise LeaseLost(self.name)
        self._ends = asked + self.seconds

    def check(self) -> None:
        """Raise `Cancelled` when nobody wants the plan any more, `LeaseLost` when somebody else has it. Looks once a
        second; else it costs nothing.
        """
        if elapsed() > self._ends - MARGIN_SECONDS:
            raise LeaseLost(self.name)
        if elapsed() >= self._next_look:
            self.look()

    def look(self) -> None:
        """As `check`, at once."""
        self._next_look = elapsed() + LOOK_SECONDS
        with self.sessions() as session:
            columns = select(PlanRow.outcome, PlanRow.holder).where(PlanRow.id == self.plan_id)
            outcome, holder = session.execute(columns).one()
        if outcome is Outcome.CANCELLED:
            raise Cancelled
        if outcome is not None or holder != self.holder:
            raise LeaseLost(self.name)

    def job(self) -> Job:
        """Return what there is to plan, with what is known of the stage at this moment."""
        with self.sessions() as session:
            plan = session.get_one(PlanRow, self.plan_id)
            stage = plan.stage
            newest = newest_intent(session, stage)
            settings, _ = settings_of(session, stage, newest)
            approval = newest.approval if newest else None
            wanted = Wanted(
                plan.want, plan.commit, plan.assembly_id, settings, approval, plan.created_at, plan.unmerged
            )
            return read_job(session, stage, wanted, name=self.work, user_agent=f"stagedoor-plan/{plan.id}")

    def note_phase(self, name: str) -> None:
        """Write down how far it is."""
        with self.sessions.begin() as session:
            self._write(session, phase=name, blocked_reason=None)

    def finish(self, outcome: Outcome, *, blob: str = "", error: dict[str, Any] | None = None) -> None:
        """Write down what came of it; nothing where it was cancelled, or somebody else has it."""
        with self.sessions.begin() as session:
            self._write(
                session,
                outcome=outcome,
                blob=blob,
                error=error,
                finished_at=now(session),
                blocked_reason=None,
                holder=None,
                lease_until=None,
            )

    def try_again(self, first_retry_seconds: float) -> None:
        """Leave it to another attempt, after a while."""
        with self.sessions.begin() as session:
            later = now(session) + retry_after(self.attempts, first_retry_seconds)
            self._write(session, holder=None, lease_until=None, not_before=later)

    def wait_for(self, reason: str, first_look_seconds: float) -> None:
        """Write down what it waits for, and have somebody look again; that is no failed attempt."""
        with self.sessions.begin() as session:
            moment = now(session)
            again = next_look(session.get_one(PlanRow, self.plan_id).created_at, moment, first_look_seconds)
            waits = {"blocked_reason": reason, "not_before": again, "attempts": 0}
            self._write(session, holder=None, lease_until=None, **waits)

    def _write(self, session: Session, **values: Any) -> bool:
        written = session.execute(
            update(PlanRow)
            .where(PlanRow.id == self.plan_id, PlanRow.holder == self.holder, PlanRow.outcome.is_(None))
            .values(**values)
            .returning(PlanRow.id)
        )
        return written.scalar_one_or_none() is not None


def claim(parts: Parts, plan_id: int, holder: str) -> Claim | None:
    """Take a plan that is to be made, if nobody makes it; else return None."""
    asked, seconds = elapsed(), parts.settings.lease_seconds
    with parts.sessions.begin() as session:
        moment = now(session)
        attempts = session.execute(
            update(PlanRow)
            .where(PlanRow.id == plan_id, _is_free(moment))
            .values(
                holder=holder,
                lease_until=moment + timedelta(seconds=seconds),
                attempts=PlanRow.attempts + 1,
                rung_at=None,
            )
            .returning(PlanRow.attempts)
        ).scalar_one_or_none()
    return None if attempts is None else Claim(parts.sessions, plan_id, holder, attempts, seconds, asked + seconds)


def ring_for_plans(session: Session, again_seconds: float, limit: int) -> list[int]:
    """Return plans that are to be made and that nobody was rung for lately; they are marked as rung for now."""
    moment = now(session)
    unheard = or_(PlanRow.rung_at.is_(None), PlanRow.rung_at < moment - timedelta(seconds=again_seconds))
    found = list(
        session.scalars(
            select(PlanRow.id)
            .where(_is_free(moment), unheard)
            .order_by(PlanRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
    if found:
        session.execute(update(PlanRow).where(PlanRow.id.in_(found)).values(rung_at=moment))
    return found


def _is_free(moment: datetime) -> Any:
    return (
        PlanRow.outcome.is_(None)
        & or_(PlanRow.holder.is_(None), PlanRow.lease_until < moment)
        & or_(PlanRow.not_before.is_(None), PlanRow.not_before <= moment)
    )
