"""What the database says of a source, read at one moment: all that is needed to know what GitHub should show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service.models import (
    App,
    Installation,
    Intent,
    Outcome,
    Repository,
    Run,
    RunKind,
    RunStep,
    ServiceIdentity,
    Source,
    SourceKind,
    Stage,
    Told,
    Want,
)
from stagedoor.config import Outputs

CLAIM = "claim"
SUCCESSES = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
HOTSWAP, EXECUTE = "hotswap", "execute-change-set"  # steps of a run, on a resource (`stack/id`) and on a stack


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run, as far as GitHub is told of it. `hotswapped`: a stack's code was changed without CloudFormation."""

    id: int
    kind: RunKind
    generation: int
    commit: str
    outcome: Outcome | None
    error: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime | None
    warnings: tuple[Mapping[str, Any], ...] = ()
    hotswapped: bool = False
    blocked_reason: str = ""

    @property
    def seconds(self) -> float | None:
        """How long it took, once it is over."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at else None


@dataclass(frozen=True, slots=True)
class StageFacts:
    """A stage, its newest intent, and its runs, oldest first: the newest of each generation that GitHub shows.

    `cause` and `actor` say why it is wanted and by whom (empty: its source alone); `approved_by` who spoke for a fork's
    commit, `approved` which one.
    """

    id: int
    app: str
    name: str
    environment: str
    live_commit: str
    outputs: tuple[tuple[str, str], ...]
    done_generation: int
    wanted_generation: int
    want: Want
    commit: str
    runs: tuple[RunFacts, ...] = ()
    live_run: RunFacts | None = None
    cause: str = ""
    actor: str = ""
    approved: str = ""
    approved_by: str = ""

    @property
    def newest(self) -> RunFacts | None:
        """The newest run for what is wanted now."""
        return next((run for run in reversed(self.runs) if run.generation == self.wanted_generation), None)


@dataclass(frozen=True, slots=True)
class ToldFacts:
    """What GitHub was told of one thing: a row of `told`."""

    id: int
    key: str
    stage_id: int | None
    github_id: int | None
    state: str
    digest: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A source with its stages, and what was told of them so far, by key. `repository` can be read with no session."""

    service: str
    source_id: int
    kind: SourceKind
    ref: str
    head_sha: str
    note: Mapping[str, Any] | None
    repository: Repository
    stages: tuple[StageFacts, ...]
    told: Mapping[str, ToldFacts]

    @property
    def web_url(self) -> str:
        """The repository's page."""
        return f"{self.repository.host.web_url}/{self.repository.full_name}"


def read_picture(session: Session, source_id: int) -> Picture | None:
    """Return what the database says of a source, or None when there is none of that id."""
    source = session.scalars(
        select(Source)
        .where(Source.id == source_id)
        .options(
            joinedload(Source.repository).joinedload(Repository.host),
            joinedload(Source.repository).joinedload(Repository.installation).joinedload(Installation.host),
        )
    ).one_or_none()
    if source is None:
        return None
    told = {
        row.key: ToldFacts(row.id, row.key, row.stage_id, row.github_id, row.state, row.digest)
        for row in session.scalars(select(Told).where(Told.source_id == source_id, Told.key != CLAIM))
    }
    stages = session.execute(
        select(Stage, App.name, Intent)
        .join(App, Stage.app_id == App.id)
        .join(Intent, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation))
        .where(Stage.source_id == source_id)
        .order_by(App.name)
    ).all()
    return Picture(
        service=session.scalars(select(ServiceIdentity.uid)).one(),
        source_id=source_id,
        kind=source.kind,
        ref=source.ref,
        head_sha=source.head_sha or "",
        note=source.note,
        repository=source.repository,
        stages=tuple(_stage(session, stage, app, intent, told.values()) for stage, app, intent in stages),
        told=told,
    )


def _stage(session: Session, stage: Stage, app: str, intent: Intent, told: Any) -> StageFacts:
    live = session.scalars(
        _runs(stage, Run.kind == RunKind.DEPLOY, Run.outcome.in_(SUCCESSES)).order_by(Run.id.desc()).limit(1)
    ).one_or_none()
    newest = session.scalars(_runs(stage).order_by(Run.id.desc()).limit(1)).one_or_none()
    shown = {generation_of(row.key) for row in told if row.stage_id == stage.id and row.state != "inactive"}
    generations = {stage.wanted_generation, *(run.generation for run in (live, newest) if run), *shown}
    swapped = _hotswapped(session, newest)
    runs = {
        run.generation: run_facts(run, hotswapped=newest is not None and run.id == newest.id and swapped)
        for run in session.scalars(_runs(stage, Run.generation.in_(generations)).order_by(Run.id))
    }
    return StageFacts(
        id=stage.id,
        app=app,
        name=stage.name,
        environment=stage.environment,
        live_commit=stage.live_commit or "",
        outputs=shown_outputs(stage.outputs, intent.settings.get("show", ["*"])),
        done_generation=stage.done_generation,
        wanted_generation=stage.wanted_generation,
        want=intent.want,
        commit=intent.commit or "",
        runs=tuple(runs[generation] for generation in sorted(runs)),
        live_run=run_facts(live) if live and stage.live_commit else None,
        cause=intent.cause,
        actor=intent.actor,
        approved=str((intent.approval or {}).get("sha") or ""),
        approved_by=str((intent.approval or {}).get("by") or ""),
    )


def _runs(stage: Stage, *conditions: Any) -> Any:
    return select(Run).where(Run.stage_id == stage.id, *conditions)


def _hotswapped(session: Session, run: Run | None) -> bool:
    """Tell whether a run brought a stack to its commit by hotswaps alone; before CloudFormation changes a stack, what
    earlier ones swapped is put back by hotswaps, too.
    """
    if run is None or run.outcome != Outcome.SUCCEEDED:
        return False
    wanted = select(RunStep.operation, RunStep.subject).where(
        RunStep.run_id == run.id, RunStep.operation.in_((HOTSWAP, EXECUTE))
    )
    steps = session.execute(wanted).all()
    changed = {subject for operation, subject in steps if operation == EXECUTE}
    return any(subject.partition("/")[0] not in changed for operation, subject in steps if operation == HOTSWAP)


def run_facts(run: Run, *, hotswapped: bool = False) -> RunFacts:
    """Return a run, as far as GitHub is told of it."""
    return RunFacts(
        id=run.id,
        kind=run.kind,
        generation=run.generation,
        commit=run.commit or "",
        outcome=run.outcome,
        error=run.error,
        started_at=run.started_at,
        finished_at=run.finished_at,
        warnings=tuple(run.warnings),
        hotswapped=hotswapped,
        blocked_reason=(run.blocked_reason or "") if run.outcome is None else "",
    )


def deployment_key(app: str, generation: int) -> str:
    """Return the key of the deployment that stands for one wish for a stage of an app."""
    return f"deployment:{app}:{generation}"


def generation_of(key: str) -> int:
    """Return the generation that a deployment's key names; 0 for any other key."""
    kind, _, rest = key.partition(":")
    return int(rest.rpartition(":")[2]) if kind == "deployment" else 0


def shown_outputs(outputs: Mapping[str, Any], show: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return those of the outputs (by stack, then name) that a pattern shows; a name in two stacks gets its stack's."""
    patterns = Outputs(show=tuple(show))
    flat = [(stack, name, str(value)) for stack, values in outputs.items() for name, value in values.items()]
    names = [name for _, name, _ in flat]
    return tuple(
        (name if names.count(name) == 1 else f"{stack}.{name}", value)
        for stack, name, value in flat
        if patterns.shows(name)
    )
