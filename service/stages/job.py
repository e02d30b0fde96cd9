"""What there is to do with a stage, read once: which stage, where, and which commit or assembly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import Session

from service.database import now
from service.models import (
    Outcome,
    Repository,
    Run,
    RunKind,
    RunStep,
    ServiceIdentity,
    SourceKind,
    Stage,
    StageKind,
    StageStack,
    Want,
)
from service.stages.intents import frozen_target, limits_of, rules_of, with_lookup_role
from stagedoor.assembly.inspection import InspectionLimits
from stagedoor.assembly.rules import AssemblyRules
from stagedoor.deploy.plan import KnownStack
from stagedoor.naming import StageIdentity
from stagedoor.target import Target, Trust

STACK_OPERATIONS = ("create-change-set", "execute-change-set", "delete-stack")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stage is to be brought to, or compared with. `settings` are what stagedoor.toml says of its app; `since`
    is when somebody began to wait for it, by the database's clock; `unmerged` as in `PlanRow`.
    """

    want: Want
    commit: str | None
    assembly_id: int | None
    settings: Mapping[str, Any]
    approval: Mapping[str, Any] | None
    since: datetime
    unmerged: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What there is to know for that. `name` is that of its folder, `run-17`; `user_agent` is what AWS is told."""

    name: str
    user_agent: str
    identity: StageIdentity
    target: Target
    repository: Repository
    commit: str | None
    settings: Mapping[str, Any]
    known: Sequence[KnownStack]
    rules: AssemblyRules
    limits: InspectionLimits
    app_id: int
    target_id: int
    stage_id: int
    want: Want
    assembly_id: int | None
    approval: Mapping[str, Any] | None
    source_kind: SourceKind | None
    source_ref: str
    waiting_since: datetime
    moment: datetime  # and now, by the same clock
    unmerged: bool

    @property
    def code_trust(self) -> Trust:
        """The level of trust of the commit's code: what it leaves in caches is met by no code of another one."""
        return Trust.PREVIEW if self.unmerged else self.target.trust

    @property
    def from_actions(self) -> bool:
        """Whether the assembly of the commit is made by the repository's own workflow."""
        return self.want is Want.COMMIT and self.settings.get("synth") == "actions"


def run_name(run_id: int) -> str:
    """Return the name of a run's job."""
    return f"run-{run_id}"


def read_job(session: Session, stage: Stage, wanted: Wanted, *, name: str, user_agent: str) -> Job:
    """Return what there is to do with a stage; what it holds can be read when the session is gone."""
    repository = stage.app.repository
    _ = repository.host, repository.installation  # loaded here
    return Job(
        name=name,
        user_agent=user_agent,
        identity=_identity(session, stage),
        target=with_lookup_role(frozen_target(stage), stage.target),
        repository=repository,
        commit=wanted.commit,
        settings=dict(wanted.settings),
        known=_known_stacks(session, stage),
        rules=rules_of(stage.target),
        limits=limits_of(stage.target),
        app_id=stage.app_id,
        target_id=stage.target_id,
        stage_id=stage.id,
        want=wanted.want,
        assembly_id=wanted.assembly_id,
        approval=wanted.approval,
        source_kind=stage.source.kind if stage.source else None,
        source_ref=stage.source.ref if stage.source else "",
        waiting_since=wanted.since,
        moment=now(session),
        unmerged=wanted.unmerged,
    )


def _identity(session: Session, stage: Stage) -> StageIdentity:
    repository = stage.app.repository
    return StageIdentity(
        app=stage.app.name,
        stage=stage.name,
        prefix=stage.prefix,
        repository=f"{repository.host.name}/{repository.github_id}",
        service=session.scalars(select(ServiceIdentity.uid)).one(),
        disposable=stage.kind is not StageKind.NAMED,
    )


def _known_stacks(session: Session, stage: Stage) -> tuple[KnownStack, ...]:
    """Return the stacks of the last good run, and those that a run which did not end well may have begun.

    A step knows its stack's ARN from before its call or from its answer; with it, removal finds what is left of a stack
    whose worker died just after the stack was deleted.
    """
    rows = session.scalars(select(StageStack).where(StageStack.stage_id == stage.id).order_by(StageStack.ordinal))
    known = {row.name: KnownStack(row.name, row.arn, row.ordinal) for row in rows}
    steps = session.scalars(
        select(RunStep)
        .join(Run, RunStep.run_id == Run.id)
        .where(Run.stage_id == stage.id, RunStep.operation.in_(STACK_OPERATIONS), Run.id > _last_removal(stage.id))
        .order_by(RunStep.id)
    )
    for step in steps:
        before = known.get(step.subject)
        arn = step.after.get("arn") or step.before.get("arn") or (before.arn if before else None)
        known[step.subject] = KnownStack(step.subject, arn, before.ordinal if before else len(known))
    return tuple(known.values())


def _last_removal(stage_id: int) -> ScalarSelect[int]:
    """Select the last run that took the whole stage away: what was begun before it is no more."""
    return (
        select(func.coalesce(func.max(Run.id), 0))
        .where(Run.stage_id == stage_id, Run.kind == RunKind.REMOVE, Run.outcome == Outcome.SUCCEEDED)
        .scalar_subquery()
    )
