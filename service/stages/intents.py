"""Write down what is wanted: wishes become rows of stages and, where something changed, one more intent each."""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database import now
from service.models import App, Intent, Source, SourceKind, Stage, StageKind, TargetRow, Want
from service.stages.wishes import Wish, Wishes
from stagedoor.assembly.inspection import DEFAULT_LIMITS, InspectionLimits
from stagedoor.assembly.rules import NO_RULES, PREVIEW_RULES, AssemblyRules
from stagedoor.naming import stack_prefix
from stagedoor.target import Target, Trust


def target_of(row: TargetRow) -> Target:
    """Return the engine's view of a target's row."""
    return Target(
        name=row.name,
        account=row.account,
        region=row.region,
        partition=row.partition,
        trust=row.trust,
        qualifier=row.qualifier,
        deploy_role=row.deploy_role,
        execution_role=row.execution_role,
        publish_role=row.publish_role,
        lookup_role=row.lookup_role,
        external_id=row.external_id,
        permissions_boundary=row.permissions_boundary,
        image_builds=row.image_builds,
    )


def with_lookup_role(target: Target, row: TargetRow) -> Target:
    """Return a stage's target with the role that looks as its operator has it now: no removal will need the old one."""
    same_place = (target.account, target.region) == (row.account, row.region)
    return replace(target, lookup_role=row.lookup_role) if same_place else target


def rules_of(row: TargetRow) -> AssemblyRules:
    """Return what assemblies in a target may hold: as its operator says now, else as its trust has it."""
    rules = PREVIEW_RULES if row.trust is Trust.PREVIEW else NO_RULES
    if row.denied_types is not None:
        rules = replace(rules, denied_types=tuple(row.denied_types))
    if row.allowed_transforms is not None:
        rules = replace(rules, allowed_transforms=tuple(row.allowed_transforms))
    return rules


def limits_of(row: TargetRow) -> InspectionLimits:
    """Return how much assemblies in a target may hold, as its operator says now."""
    named = {name: value for name, value in (row.assembly_limits or {}).items() if value is not None}
    return replace(DEFAULT_LIMITS, **named)


def frozen_target(stage: Stage) -> Target:
    """Return the target that a stage was born in, whatever became of the row since. What runs on our own machine,
    the builds of images, is as the operator says now.
    """
    fields: dict[str, Any] = dict(stage.frozen_target)
    return Target(**{**fields, "trust": Trust(fields["trust"]), "image_builds": stage.target.image_builds})


def apply_wishes(session: Session, source: Source, wishes: Wishes, *, cause: str, again: bool) -> None:
    """Append an intent to each stage of `source` that is wanted otherwise than before; the source's row is locked.

    With `again`, stages that are wanted as before get one all the same: somebody asked to run it once more.
    """
    wanted: set[int] = set()
    for wish in wishes.stages:
        if _is_a_developers(session, source, wish):
            continue
        stage = _stage_for(session, source, wish)
        wanted.add(stage.id)
        newest = newest_intent(session, stage)
        # What a person asked for since (a roll-back, a removal) holds until the source wishes something else.
        is_news, stage.wished_digest = stage.wished_digest != wish.identity, wish.identity
        changed = is_news and (
            newest is None
            or (newest.want, newest.commit, newest.config_digest) != (Want.COMMIT, wish.commit, wish.digest)
        )
        if changed or again:
            append_intent(session, stage, Want.COMMIT, _cause(source, newest, cause, changed), wish)
    if wishes.keep_others:
        return
    for stage in session.scalars(select(Stage).where(Stage.source_id == source.id).with_for_update()):
        newest = newest_intent(session, stage)
        gone = newest is None or newest.want is Want.GONE
        if stage.id in wanted:
            continue
        stage.wished_digest = ""
        if not stage.pinned and not (gone and not again):
            append_intent(session, stage, Want.GONE, cause)


def _is_a_developers(session: Session, source: Source, wish: Wish) -> bool:
    """Whether a developer has a stage of their own under this name, which a branch must not take from them."""
    own = select(Stage.id).join(App, Stage.app_id == App.id).where(Stage.kind == StageKind.PERSONAL)
    return (
        session.scalar(
            own.where(App.repository_id == source.repository_id, App.name == wish.app, Stage.name == wish.stage)
        )
        is not None
    )


def newest_intent(session: Session, stage: Stage) -> Intent | None:
    """Return what is wanted of a stage now; None for one that nothing was ever wanted of."""
    return session.scalars(
        select(Intent).where(Intent.stage_id == stage.id, Intent.generation == stage.wanted_generation)
    ).one_or_none()


def append_intent(session: Session, stage: Stage, want: Want, cause: str, wish: Wish | None = None) -> Intent:
    """Append one change of what is wanted; the stage's row is locked by the caller or new."""
    moment = now(session)
    newest = newest_intent(session, stage)
    live = newest.settings.get("live") if newest else None
    stage.wanted_generation += 1
    stage.not_before = None
    stage.attempts = 0
    stage.last_activity_at = moment
    intent = Intent(
        stage_id=stage.id,
        generation=stage.wanted_generation,
        want=want,
        commit=wish.commit if wish else None,
        cause=cause,
        # A push takes no bridges out: somebody may be connected.
        settings={**wish.settings, **({} if live is None else {"live": live})} if wish else {},
        config_digest=wish.digest if wish else "",
        approval=dict(wish.approval) if wish and wish.approval else newest.approval if newest and not wish else None,
        created_at=moment,
    )
    session.add(intent)
    return intent


def append_live(session: Session, stage: Stage, newest: Intent, functions: list[str] | None, actor: str) -> None:
    """Append what is wanted already, with bridges in the functions that these patterns name, or without (None); the
    stage's row is locked.
    """
    settings = {key: value for key, value in newest.settings.items() if key != "live"}
    if functions is not None:
        settings["live"] = functions
    stage.last_activity_at = now(session)
    _repeat(session, stage, newest, "live" if functions is not None else "not-live", actor, settings)


def repeat_intent(session: Session, stage: Stage, cause: str, actor: str | None = None) -> None:
    """Append what is wanted already once more, so that somebody makes sure of it; the stage's row is locked."""
    newest = newest_intent(session, stage)
    if newest is not None:
        _repeat(session, stage, newest, cause, newest.actor if actor is None else actor, dict(newest.settings))


def _repeat(session: Session, stage: Stage, newest: Intent, cause: str, actor: str, settings: dict[str, Any]) -> None:
    stage.wanted_generation += 1
    stage.not_before = None
    session.add(
        Intent(
            stage_id=stage.id,
            generation=stage.wanted_generation,
            want=newest.want,
            commit=newest.commit,
            assembly_id=newest.assembly_id,
            cause=cause,
            actor=actor,
            settings=settings,
            config_digest=newest.config_digest,
            approval=newest.approval,
            created_at=now(session),
        )
    )


def _cause(source: Source, newest: Intent | None, cause: str, changed: bool) -> str:
    if not changed:
        return "rerequested"
    if newest is None:
        return "opened" if source.kind is SourceKind.PULL else cause
    return "reopened" if newest.want is Want.GONE else cause


def _stage_for(session: Session, source: Source, wish: Wish) -> Stage:
    """Return the wish's stage, locked, made when it is not there. Target and prefix are frozen while anything of it is
    in AWS; a stage that is gone may be born again in another target.
    """
    app = _app_for(session, source, wish)
    target = session.get_one(TargetRow, wish.target_id)
    moment = now(session)
    stage = session.scalars(
        select(Stage).where(Stage.app_id == app.id, Stage.name == wish.stage).with_for_update()
    ).one_or_none()
    if stage is None:
        stage = Stage(
            app_id=app.id,
            name=wish.stage,
            kind=wish.kind,
            prefix=stack_prefix(wish.app, wish.stage, f"{source.repository.host_id}/{source.repository.github_id}"),
            last_activity_at=moment,
            created_at=moment,
        )
        session.add(stage)
        _freeze(stage, target)
    elif stage.live_commit is None and stage.done_generation >= stage.wanted_generation:
        newest = newest_intent(session, stage)
        if newest is not None and newest.want is Want.GONE:
            _freeze(stage, target)
    stage.source_id = source.id
    stage.environment = wish.environment
    session.flush()
    return stage


def _freeze(stage: Stage, target: TargetRow) -> None:
    stage.target_id = target.id
    stage.trust = target.trust
    stage.frozen_target = asdict(target_of(target))
    stage.protected = stage.kind is not StageKind.PREVIEW and target.trust is Trust.PRODUCTION


def _app_for(session: Session, source: Source, wish: Wish) -> App:
    path = str(wish.settings.get("path") or ".")
    app = session.scalars(
        select(App).where(App.repository_id == source.repository_id, App.name == wish.app)
    ).one_or_none()
    if app is None:
        app = App(repository_id=source.repository_id, name=wish.app, path=path, created_at=now(session))
        session.add(app)
    app.path = path
    session.flush()
    return app
