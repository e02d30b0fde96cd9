"""Raising the generation of a pull request or a branch: all that a webhook does (see `service.models.Source`).

A generation is raised in the database (`generation + 1`), never read and written back, so that none is lost however
many deliveries come at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from service.database import insert_into
from service.models import Approval, Outcome, PlanRow, Repository, Run, Source, SourceKind, Stage, Told
from service.webhooks.hints import DeployAsked, RerunRequested, WorkflowEnded

_BATCH = 1000  # rows an UPDATE names, well under PostgreSQL's 65,535 parameters


def raise_source(connection: Connection, repository_id: int, kind: SourceKind, ref: str, at: datetime) -> None:
    """Raise a source, which is made if nobody has heard of it before."""
    row = {
        "repository_id": repository_id,
        "kind": kind,
        "ref": ref,
        "generation": 1,
        "created_at": at,
        "updated_at": at,
    }
    statement = insert_into(Source, connection.dialect.name).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["repository_id", "kind", "ref"],
            set_={"generation": Source.generation + 1, "updated_at": statement.excluded.updated_at},
        )
    )


def raise_branch_if_known(connection: Connection, repository_id: int, branch: str, at: datetime) -> int:
    """Raise the branch's source if there is one; return how many were raised."""
    return _raise(connection, _is(repository_id, SourceKind.BRANCH, [branch]), at)


def raise_open_sources(connection: Connection, repository_ids: Iterable[int], at: datetime) -> int:
    """Raise everything in these repositories that is open, as the door to them closed or opened."""
    return _raise(connection, and_(Source.repository_id.in_(list(repository_ids)), Source.open), at)


def raise_sources_behind(connection: Connection, installation_id: int, at: datetime) -> int:
    """Raise everything that is open in the repositories of an installation."""
    repositories = select(Repository.id).where(Repository.installation_id == installation_id)
    return _raise(connection, and_(Source.repository_id.in_(repositories), Source.open), at)


def raise_for_rerun(connection: Connection, repository_id: int, hint: RerunRequested, at: datetime) -> int:
    """Raise the sources whose check is asked for again, and note that it was asked for.

    The check run's id leads to the source that was told of it. A check suite has no row of its own: it belongs to the
    pull requests that GitHub lists, to whatever had this commit when last seen, and to its branch.
    """
    told = select(Told.source_id).where(Told.github_id == hint.check_run_id, Told.key.startswith("check:"))
    through_check = and_(Source.repository_id == repository_id, Source.id.in_(told))
    raised = _raise(connection, through_check, at, also=Source.rerun_generation) if hint.check_run_id else 0
    return raised or _raise(
        connection,
        or_(
            _is(repository_id, SourceKind.PULL, [str(number) for number in hint.pull_requests]),
            _is(repository_id, SourceKind.BRANCH, [hint.branch]),
            and_(Source.repository_id == repository_id, Source.head_sha == hint.head_sha, Source.open),
        ),
        at,
        also=Source.rerun_generation,
    )


def raise_for_workflow(connection: Connection, repository_id: int, hint: WorkflowEnded, at: datetime) -> int:
    """Raise the sources that have a run or a plan which waits for a workflow of this commit, or a run which one has
    failed.

    Most workflows that end are nobody's here; a repository's tests must not have GitHub asked each time they are done.
    """
    waiting = (
        select(Stage.source_id)
        .join(Run, Run.stage_id == Stage.id)
        .where(Run.generation == Stage.wanted_generation, Run.commit == hint.head_sha)
        .where(Run.outcome.is_(None) | (Run.outcome == Outcome.FAILED))
    )
    planned = (
        select(Stage.source_id)
        .join(PlanRow, PlanRow.stage_id == Stage.id)
        .where(PlanRow.outcome.is_(None), PlanRow.commit == hint.head_sha)
    )
    waits = or_(Source.id.in_(waiting), Source.id.in_(planned))
    of_repository = and_(Source.repository_id == repository_id, Source.open, waits)
    return _raise(connection, of_repository, at, also=Source.workflow_generation)


def ask_for_approval(connection: Connection, repository_id: int, hint: DeployAsked, at: datetime) -> None:
    """Write down what somebody said of a pull request, and have it looked into; who they are is asked of GitHub."""
    raise_source(connection, repository_id, SourceKind.PULL, str(hint.number), at)
    source_id = connection.scalar(select(Source.id).where(_is(repository_id, SourceKind.PULL, [str(hint.number)])))
    row = {
        "source_id": source_id,
        "comment_id": hint.comment_id,
        "login": hint.login,
        "user_id": hint.user_id,
        "sha": hint.sha,
        "created_at": at,
    }
    connection.execute(insert_into(Approval, connection.dialect.name).values(row).on_conflict_do_nothing())


def _is(repository_id: int, kind: SourceKind, refs: Sequence[str]) -> ColumnElement[bool]:
    return and_(Source.repository_id == repository_id, Source.kind == kind, Source.ref.in_(refs))


def _raise(
    connection: Connection,
    which: ColumnElement[bool],
    at: datetime,
    also: InstrumentedAttribute[int] | None = None,
) -> int:
    """Raise all that `which` holds for, and note the new generation in the column `also`.

    They are locked in the order of their ids before the first is changed.
    """
    ids = connection.scalars(select(Source.id).where(which).order_by(Source.id).with_for_update()).all()
    changes = {Source.generation: Source.generation + 1, Source.updated_at: at}
    if also is not None:
        changes[also] = Source.generation + 1
    for start in range(0, len(ids), _BATCH):
        connection.execute(update(Source).where(Source.id.in_(ids[start : start + _BATCH])).values(changes))
    return len(ids)
