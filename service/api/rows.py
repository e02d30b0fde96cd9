"""Rows as the API shows them. Of a list of stages all is read in a few statements, however long it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from service.api.answers import OWN, ErrorAnswer, Outputs, RunAnswer, StageAnswer
from service.github.decide import state_of, url_of
from service.github.picture import RunFacts, StageFacts, run_facts, shown_outputs
from service.models import App, Intent, Outcome, Repository, Run, Stage, StageKind, Want
from service.models.github import GitHubHost

_WHOLE_APP = joinedload(Stage.app).joinedload(App.repository).joinedload(Repository.host)
_FAILURES = frozenset({Outcome.FAILED, Outcome.ERRORED})


def stage_answer(session: Session, stage_id: int, url: str) -> StageAnswer | None:
    """Return a stage; None when there is none. `url` is where people find the service."""
    stage = session.get(Stage, stage_id, options=[_WHOLE_APP, joinedload(Stage.target)])
    return stage_answers(session, [stage], url)[0] if stage else None


def stages_of(
    session: Session, repository_id: int, app: str | None, stage: str | None, before: int | None, limit: int
) -> Sequence[Stage]:
    """Return a repository's stages, newest first, those before the id `before` where one is given."""
    query = select(Stage).join(App, Stage.app_id == App.id).where(App.repository_id == repository_id)
    wanted = {App.name: app, Stage.name: stage}
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    if before is not None:
        query = query.where(Stage.id < before)
    return session.scalars(
        query.options(_WHOLE_APP, joinedload(Stage.target)).order_by(Stage.id.desc()).limit(limit)
    ).all()


def runs_of(
    session: Session,
    conditions: Iterable[Any],
    before: int | None,
    limit: int,
) -> Sequence[Run]:
    """Return the runs that fulfil conditions on runs, stages and apps, newest first."""
    query = select(Run).join(Stage, Run.stage_id == Stage.id).join(App, Stage.app_id == App.id).where(*conditions)
    if before is not None:
        query = query.where(Run.id < before)
    return session.scalars(
        query.options(joinedload(Run.intent), joinedload(Run.stage).joinedload(Stage.app))
        .order_by(Run.id.desc())
        .limit(limit)
    ).all()


def stage_answers(session: Session, stages: Sequence[Stage], url: str) -> list[StageAnswer]:
    """Return stages, with what is wanted of each and its newest run."""
    ids = [stage.id for stage in stages]
    newest = select(func.max(Run.id)).where(Run.stage_id.in_(ids)).group_by(Run.stage_id)
    runs = {run.stage_id: run for run in runs_of(session, [Run.id.in_(newest)], None, len(ids))}
    wanted = select(Intent).join(Stage, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation))
    intents = {intent.stage_id: intent for intent in session.scalars(wanted.where(Stage.id.in_(ids)))}
    return [_stage(stage, intents.get(stage.id), runs.get(stage.id), url) for stage in stages]


def run_answer(run: Run, url: str) -> RunAnswer:
    """Return a run."""
    return RunAnswer(
        id=run.id,
        stage=run.stage_id,
        stage_name=run.stage.name,
        app=run.stage.app.name,
        kind=run.kind,
        generation=run.generation,
        commit=run.commit,
        assembly=run.assembly_id,
        cause=run.intent.cause,
        actor=run.intent.actor,
        phase=run.phase,
        outcome=run.outcome,
        waits_for=run.blocked_reason if run.outcome is None else None,
        cancel_requested=run.cancel_requested,
        error=error_answer(run),
        warnings=list(run.warnings),
        seconds=run.seconds,
        started_at=run.started_at,
        finished_at=run.finished_at,
        page=f"{url}/runs/{run.id}",
    )


def error_answer(run: Run | None) -> ErrorAnswer | None:
    """Return why a run failed, if it did."""
    return error_of(run.error) if run is not None and run.outcome in _FAILURES else None


def error_of(error: Mapping[str, Any] | None) -> ErrorAnswer | None:
    """Return an error that was written down."""
    if not error:
        return None
    words = {name: error.get(name) or "" for name in ("id", "what", "remedy", "detail")}
    return ErrorAnswer(**words, location=error.get("location"))


def address_of(repository: Repository) -> str:
    """Return a repository's address, as its remote has it: host without port, and name."""
    return repository_address(repository.host, repository.full_name)


def repository_address(host: GitHubHost, full_name: str) -> str:
    """Return `host/owner/name`; one that no GitHub knows has its address for a name."""
    name = host.web_url.partition("://")[2].partition("/")[0].partition(":")[0]
    return f"{name}/{full_name}" if name else full_name


def text_outputs(stage: Stage) -> Outputs:
    """Return a stage's outputs as text, by stack."""
    return {stack: {name: str(value) for name, value in values.items()} for stack, values in stage.outputs.items()}


def url_of_stage(stage: Stage, newest: Intent | None) -> str:
    """Return the first of a stage's outputs that is a web address, of those that its configuration shows."""
    return url_of(_outputs_shown(stage, newest)) if stage.live_commit or stage.kind is StageKind.PERSONAL else ""


def _stage(stage: Stage, newest: Intent | None, run: Run | None, url: str) -> StageAnswer:
    return StageAnswer(
        id=stage.id,
        name=stage.name,
        app=stage.app.name,
        repository=address_of(stage.app.repository),
        kind=stage.kind,
        owner=stage.owner,
        account=stage.frozen_target.get("account", stage.target.account),
        region=stage.frozen_target.get("region", stage.target.region),
        trust=stage.trust,
        protected=stage.protected,
        commit=stage.live_commit,
        wanted_generation=stage.wanted_generation,
        done_generation=stage.done_generation,
        state=OWN if newest is None else state_of(_facts(stage, newest, run)).value,
        url=url_of_stage(stage, newest),
        outputs=text_outputs(stage),
        live=newest.settings.get("live") if newest else None,
        error=error_answer(run),
        run=run_answer(run, url) if run else None,
        page=f"{url}/stages/{stage.id}",
    )


def _facts(stage: Stage, newest: Intent, run: Run | None) -> StageFacts:
    """Return what tells a stage's state; of its runs the newest one is enough for that."""
    runs: tuple[RunFacts, ...] = (run_facts(run),) if run else ()
    return StageFacts(
        id=stage.id,
        app=stage.app.name,
        name=stage.name,
        environment=stage.environment,
        live_commit=stage.live_commit or "",
        outputs=(),
        done_generation=stage.done_generation,
        wanted_generation=stage.wanted_generation,
        want=Want(newest.want),
        commit=newest.commit or "",
        runs=runs,
    )


def _outputs_shown(stage: Stage, newest: Intent | None) -> tuple[tuple[str, str], ...]:
    return shown_outputs(stage.outputs, newest.settings.get("show", ["*"]) if newest else ["*"])
