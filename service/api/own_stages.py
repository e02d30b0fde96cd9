"""What a developer does with stages: finds one, registers their own, has bridges put into one that the service deploys.

A stage of a developer's own is deployed by the command line with the developer's credentials; its row is there for the
relay, and nothing is ever wanted of it here, so that no reconciler takes it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.access.errors import NotDeployed, StageTaken, UnknownRepository
from service.access.permission import LOCAL_HOST
from service.database import now
from service.models import App, GitHubHost, Repository, Stage, StageKind, TargetRow, Want
from service.stages.intents import append_live, newest_intent, target_of
from stagedoor.target import Trust


@dataclass(frozen=True, slots=True)
class Address:
    """Which stage is meant: the repository's address (`github.com/acme/notes`), the app's name, the stage's."""

    repository: str
    app: str
    stage: str


@dataclass(frozen=True, slots=True)
class OwnStage:
    """Where a developer deploys a stage of their own."""

    path: str
    account: str
    region: str
    partition: str
    prefix: str


class SeveralRepositories(UnknownRepository):
    """One was renamed or deleted, and another has its name by now: which of them an address means is not known until
    GitHub has told of the first.
    """


def repository_at(session: Session, address: str, *, on_loopback: bool, take_in: bool = False) -> Repository:
    """Return the repository with this address. Only a service on loopback has repositories that no GitHub told of; with
    `take_in` one more.

    Raises `UnknownRepository`, and so `SeveralRepositories`.
    """
    host, _, name = address.partition("/")
    rows = session.scalars(
        select(Repository).where(func.lower(Repository.full_name) == name.lower(), Repository.removed_at.is_(None))
    )
    # A remote's address has no port: whoever clones over SSH names another than the pages'.
    found = [row for row in rows if urlsplit(row.host.web_url).hostname == host.lower()]
    if len(found) > 1:
        raise SeveralRepositories(address)
    if found:
        return found[0]
    if not on_loopback:
        raise UnknownRepository(address)
    return _local(session, address, take_in=take_in)


def register_own(session: Session, repository_id: int, address: Address, own: OwnStage, developer: str) -> Stage:
    """Return the row of a developer's own stage, made when it is not there. Raises `StageTaken`."""
    app = session.scalars(select(App).where(App.repository_id == repository_id, App.name == address.app)).one_or_none()
    moment = now(session)
    if app is None:
        app = App(repository_id=repository_id, name=address.app, path=own.path, created_at=moment)
        session.add(app)
        session.flush()
    stage = session.scalars(
        select(Stage).where(Stage.app_id == app.id, Stage.name == address.stage).with_for_update()
    ).one_or_none()
    if stage is not None and (stage.kind is not StageKind.PERSONAL or stage.owner != developer):
        whose = f"{stage.owner}'s" if stage.kind is StageKind.PERSONAL else "deployed by the service"
        raise StageTaken(f"The stage {address.stage} is {whose}.", "Name your own stage with --stage dev-….")
    target = _target(session, own)
    if stage is None:
        stage = Stage(app_id=app.id, name=address.stage, kind=StageKind.PERSONAL, owner=developer, created_at=moment)
        session.add(stage)
    stage.target_id = target.id
    stage.trust = Trust.PREVIEW
    stage.frozen_target = asdict(target_of(target))
    stage.prefix = own.prefix or _unprefixed(app, address.stage)
    stage.last_activity_at = moment
    try:
        session.flush()
    except IntegrityError:
        raise StageTaken(
            f"Another stage in this account and region has stacks that begin with {stage.prefix}.",
            "Deploy yours from this app's own folder, under a name of its own.",
        ) from None
    return stage


def ask_for_bridges(session: Session, stage: Stage, patterns: Iterable[str] | None, developer: str) -> int:
    """Have a stage that the service deploys deployed again, with bridges in the functions that `patterns` name, or
    without any (None). Return the generation to wait for. Raises `StageTaken` and `NotDeployed`.
    """
    stage = session.scalars(select(Stage).where(Stage.id == stage.id).with_for_update()).one()
    if stage.kind is StageKind.PERSONAL:
        raise StageTaken(f"The stage {stage.name} is {stage.owner}'s own.", "Whoever has it runs `stagedoor dev`.")
    newest = newest_intent(session, stage)
    if newest is None or newest.want is Want.GONE:
        raise NotDeployed(f"The stage {stage.name} is not there any more.", "Open its pull request again.")
    wanted = None if patterns is None else sorted(patterns)
    if newest.settings.get("live") != wanted:
        append_live(session, stage, newest, wanted, developer)
    return stage.wanted_generation


def _target(session: Session, own: OwnStage) -> TargetRow:
    """Return the target of a developer's own account: granted to nobody, so the service deploys nothing there."""
    name = f"personal:{own.account}:{own.region}"
    target = session.scalars(select(TargetRow).where(TargetRow.name == name)).one_or_none()
    if target is None:
        place: Mapping[str, str] = {"account": own.account, "region": own.region, "partition": own.partition}
        target = TargetRow(name=name, trust=Trust.PREVIEW, created_at=now(session), **place)
        session.add(target)
        session.flush()
    return target


def _unprefixed(app: App, stage: str) -> str:
    """Return what stands for the prefix of a stage that was adopted; it only has to be one of a kind."""
    return f"adopted-{app.id}-{stage}"[:64]


def _local(session: Session, address: str, *, take_in: bool) -> Repository:
    host = session.scalars(select(GitHubHost).where(GitHubHost.name == LOCAL_HOST)).one_or_none()
    if host is None:
        if not take_in:
            raise UnknownRepository(address)
        host = GitHubHost(name=LOCAL_HOST, api_url="", web_url="")
        session.add(host)
        session.flush()
    number = int.from_bytes(hashlib.sha256(address.encode()).digest()[:6])
    known = select(Repository).where(Repository.host_id == host.id, Repository.github_id == number)
    repository = session.scalars(known).one_or_none()
    if repository is None:
        if not take_in:
            raise UnknownRepository(address)
        repository = Repository(
            host_id=host.id, github_id=number, full_name=address[:255], clone_url="", created_at=now(session)
        )
        session.add(repository)
        session.flush()
    return repository
