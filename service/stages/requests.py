"""What people, workflows and machines ask of a stage: deploy, remove, cancel, retry, promote, roll back.

Each is called inside its caller's transaction, locks the stage's row and appends an intent (or sets a flag); nothing
is spoken to but the database. Who may ask is the caller's to know. What was asked for holds until the stage's source
wishes something else: a push to its branch, say.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database import insert_into, now
from service.models import (
    AssemblyRow,
    Intent,
    Outcome,
    Run,
    RunKind,
    Source,
    SourceKind,
    Stage,
    Want,
)
from service.stages.errors import (
    CommitNotApproved,
    InvalidCommit,
    NoAssembly,
    PromotionRefused,
    RemovalGoesOn,
    RunGoesOn,
    RunOfOtherStage,
    RunOutdated,
    StageProtected,
)
from service.stages.intents import newest_intent, repeat_intent

_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_DEPLOY_ANEW = "Deploy the commit instead: that makes the assembly anew."


@dataclass(frozen=True, slots=True)
class Requested:
    """What came of a request: it is done when the stage's done generation has reached `generation`. `new` is False
    where the same was wanted already and nothing was appended.
    """

    stage_id: int
    generation: int
    new: bool


def request_deploy(
    session: Session, stage: Stage, commit: str, *, actor: str, cause: str = "requested", again: bool = False
) -> Requested:
    """Ask for a commit, by its whole id; with `again` also where it is wanted already.

    Raises `InvalidCommit`, and `CommitNotApproved` for a commit of a fork other than the one that was approved.
    """
    stage, newest = locked(session, stage)
    check_commit(commit, stage, newest)
    if newest and (newest.want, newest.commit) == (Want.COMMIT, commit) and not again:
        _look_now(session, stage, newest)
        return Requested(stage.id, newest.generation, new=False)
    return _append(session, stage, newest, Want.COMMIT, commit=commit, actor=actor, cause=cause)


def request_assembly(
    session: Session, stage: Stage, assembly: AssemblyRow, *, actor: str, cause: str, commit: str | None = None
) -> Requested:
    """Ask for an assembly as it is, without a synth; `commit` is what it stands for, where that is not the one that it
    was first made of. Raises `NoAssembly` and `PromotionRefused`.
    """
    stage, newest = locked(session, stage)
    check_fits(assembly, stage)
    if newest and (newest.want, newest.assembly_id) == (Want.ASSEMBLY, assembly.id):
        return Requested(stage.id, newest.generation, new=False)
    commit = commit or assembly.commit
    return _append(session, stage, newest, Want.ASSEMBLY, commit=commit, assembly=assembly, actor=actor, cause=cause)


def request_removal(session: Session, stage: Stage, *, actor: str) -> Requested:
    """Ask for a stage to go, with its data where it is disposable. Raises `StageProtected`."""
    stage, newest = locked(session, stage)
    if stage.protected:
        raise StageProtected(
            f"The stage {stage.name} is protected: it is not removed on request.",
            "Whoever operates Stagedoor can take its protection away.",
        )
    if newest and newest.want is Want.GONE and not _has_failed(session, stage, newest):
        return Requested(stage.id, newest.generation, new=False)
    return _append(session, stage, newest, Want.GONE, actor=actor, cause="requested")


def cancel_run(session: Session, run: Run, *, actor: str) -> bool:
    """Ask a run to end where it can be gone on from; False: it had ended already. Raises `RemovalGoesOn`.

    An update that CloudFormation carries out is cancelled there and rolled back; a stack that is being created, and one
    that is rolled back already, is let go on. The next run joins either. A cancelled run is not begun again by itself.
    """
    stage, _ = locked(session, run.stage)
    session.refresh(run)
    if run.outcome is not None:
        return False
    if run.kind is RunKind.REMOVE:
        raise RemovalGoesOn(
            f"Run {run.id} removes the stage, and CloudFormation does not stop deleting.",
            "Let it end, then deploy the stage again.",
        )
    if not run.cancel_requested:
        run.cancel_requested, run.cancelled_by = True, actor[:255]
    if run.blocked_reason:
        stage.not_before = None  # nobody holds it: somebody is to come and end it
        stage.rung_at = None
    return True


def retry_run(session: Session, run: Run, *, actor: str) -> Requested:
    """Ask for what a run that has ended was for, once more. Raises `RunGoesOn`, and `RunOutdated` where something else
    is wanted by now.
    """
    stage, newest = locked(session, run.stage)
    session.refresh(run)
    if run.outcome is None:
        raise RunGoesOn(f"Run {run.id} has not ended.", "Wait for its end, or cancel it.")
    intent = run.intent
    if newest is None or (newest.want, newest.commit, newest.assembly_id) != (
        intent.want,
        intent.commit,
        intent.assembly_id,
    ):
        raise RunOutdated(
            f"Something else than what run {run.id} was for is wanted of the stage {stage.name} by now.",
            "Roll the stage back to a run, or deploy a commit.",
        )
    if stage.done_generation < stage.wanted_generation and newest.generation != run.generation:
        return Requested(stage.id, newest.generation, new=False)
    stage.attempts = 0
    repeat_intent(session, stage, "retried", actor)
    return Requested(stage.id, stage.wanted_generation, new=True)


def promote(session: Session, run: Run, onto: Stage, *, actor: str) -> Requested:
    """Ask for what a run deployed to one stage to be deployed to another, as it is. Raises `NoAssembly` and
    `PromotionRefused`.
    """
    assembly = assembly_of(session, run)
    return request_assembly(session, onto, assembly, actor=actor, cause="promoted", commit=run.commit)


def roll_back(session: Session, stage: Stage, to: Run, *, actor: str) -> Requested:
    """Ask for what an earlier run of the stage deployed, as it was; it stays so until the next push. Raises
    `NoAssembly` and `RunOfOtherStage`.
    """
    if to.stage_id != stage.id:
        raise RunOfOtherStage(
            f"Run {to.id} was not one of the stage {stage.name}.", "Promote it, or name one of this stage's own runs."
        )
    assembly = assembly_of(session, to)
    return request_assembly(session, stage, assembly, actor=actor, cause="rolled-back", commit=to.commit)


def touch_source(session: Session, repository_id: int, kind: SourceKind, ref: str) -> None:
    """Do what a webhook does: have a worker ask GitHub about a pull request (by its number) or a branch (by its name).

    Raised, or made when nobody has heard of it.
    """
    moment = now(session)
    row = {
        "repository_id": repository_id,
        "kind": kind,
        "ref": ref,
        "generation": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    statement = insert_into(Source, session.get_bind().dialect.name).values(row)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["repository_id", "kind", "ref"], set_={"generation": Source.generation + 1}
        )
    )


def _look_now(session: Session, stage: Stage, newest: Intent) -> None:
    """Have a run that waits for a workflow look again: whoever asks may know that there is something by now."""
    goes_on = select(Run).where(Run.stage_id == stage.id, Run.generation == newest.generation, Run.outcome.is_(None))
    for run in session.scalars(goes_on):
        run.not_before = now(session)  # whoever looks at this moment, and finds nothing, sees that it has changed
        if run.blocked_reason is not None:
            stage.not_before, stage.rung_at = None, None


def locked(session: Session, stage: Stage) -> tuple[Stage, Intent | None]:
    """Lock a stage's row and return it as it is now, with what is wanted of it."""
    row = session.scalars(
        select(Stage).where(Stage.id == stage.id).with_for_update().execution_options(populate_existing=True)
    ).one()
    return row, newest_intent(session, row)


def _append(
    session: Session,
    stage: Stage,
    newest: Intent | None,
    want: Want,
    *,
    actor: str,
    cause: str,
    commit: str | None = None,
    assembly: AssemblyRow | None = None,
) -> Requested:
    moment = now(session)
    stage.wanted_generation += 1
    stage.not_before, stage.attempts = None, 0
    stage.last_activity_at = moment
    settings, digest = ({}, "") if want is Want.GONE else settings_of(session, stage, newest)
    session.add(
        Intent(
            stage_id=stage.id,
            generation=stage.wanted_generation,
            want=want,
            commit=commit,
            assembly_id=assembly.id if assembly else None,
            cause=cause[:64],
            actor=actor[:255],
            settings=settings,
            config_digest=digest,
            approval=newest.approval if newest else None,
            created_at=moment,
        )
    )
    session.flush()
    return Requested(stage.id, stage.wanted_generation, new=True)


def settings_of(session: Session, stage: Stage, newest: Intent | None) -> tuple[dict[str, Any], str]:
    """Return what stagedoor.toml last said of the stage's app: a removal says nothing of it."""
    if newest is None or newest.want is not Want.GONE:
        said = newest
    else:
        wanted = select(Intent).where(Intent.stage_id == stage.id, Intent.want != Want.GONE)
        said = session.scalars(wanted.order_by(Intent.generation.desc()).limit(1)).one_or_none()
    return (dict(said.settings), said.config_digest) if said else ({}, "")


def _has_failed(session: Session, stage: Stage, intent: Intent) -> bool:
    if stage.done_generation < intent.generation:
        return False
    last = select(Run.outcome).where(Run.stage_id == stage.id, Run.generation == intent.generation)
    return session.scalar(last.order_by(Run.id.desc()).limit(1)) is Outcome.FAILED


def assembly_of(session: Session, run: Run) -> AssemblyRow:
    """Return what a run deployed. Raises `NoAssembly`."""
    if run.kind is not RunKind.DEPLOY or run.outcome not in {Outcome.SUCCEEDED, Outcome.UNCHANGED}:
        raise NoAssembly(f"Run {run.id} brought nothing live.", "Name a run that succeeded.")
    if run.assembly_id is None:
        raise NoAssembly(f"No assembly of run {run.id} was kept.", _DEPLOY_ANEW)
    return session.get_one(AssemblyRow, run.assembly_id)


def check_commit(commit: str, stage: Stage, newest: Intent | None) -> None:
    """Raise `InvalidCommit`, and `CommitNotApproved` for a commit of a fork other than the one that was approved."""
    if not _COMMIT.match(commit):
        raise InvalidCommit(f"{commit[:80]!r} is no commit's id.", "Write all 40 hexadecimal digits of it.")
    if newest and newest.approval and newest.approval.get("sha") != commit:
        raise CommitNotApproved(
            f"The stage {stage.name} is of a fork's pull request, and {commit[:12]} is not the commit approved for it.",
            "Somebody who may write to the repository comments `/deploy` with the commit's whole id.",
        )


def check_fits(assembly: AssemblyRow, stage: Stage) -> None:
    """Raise where an assembly must not be deployed to a stage."""
    if not assembly.blob:
        raise NoAssembly(
            f"The assembly ({assembly.size:,} bytes) is not kept: it was too large, or older than those that are.",
            _DEPLOY_ANEW,
        )
    if assembly.app_id != stage.app_id:
        raise PromotionRefused("The assembly is one of another app.", "Name a run of the same app.")
    if assembly.trust is not stage.trust:
        raise PromotionRefused(
            f"The assembly is of trust level {assembly.trust.value}, the stage {stage.name} of {stage.trust.value}: "
            "nothing crosses from one to the other.",
            "Deploy the commit: that makes the assembly anew at the stage's own level.",
        )
    if assembly.stage not in ("", stage.name):
        raise PromotionRefused(
            f"The assembly was made for the stage {assembly.stage} and knows it: its names, its secrets' places or "
            f"what it keeps would be wrong in {stage.name}.",
            "Deploy the commit: that makes the assembly anew for this stage.",
        )
