"""Rows that tests begin with."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from service.models import (
    App,
    GitHubHost,
    Grant,
    Installation,
    Repository,
    ServiceIdentity,
    Source,
    SourceKind,
    Stage,
    StageKind,
    TargetRow,
)
from stagedoor.target import Trust

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def add_repository(
    session: Session,
    full_name: str = "acme/notes",
    github_id: int = 1,
    *,
    host: GitHubHost | None = None,
    installation_id: int | None = None,
) -> Repository:
    """Add a repository with the App installed on it, and all that it needs; on github.com unless a host is given."""
    host = (
        host
        or session.query(GitHubHost).filter_by(name="github.com").one_or_none()
        or GitHubHost(name="github.com", api_url="https://api.github.com", web_url="https://github.com")
    )
    installation = Installation(host=host, github_id=installation_id or 100 + github_id, created_at=T0)
    repository = Repository(
        host=host,
        github_id=github_id,
        installation=installation,
        full_name=full_name,
        clone_url=f"{host.web_url}/{full_name}.git",
        created_at=T0,
    )
    session.add(repository)
    if session.get(ServiceIdentity, 1) is None:
        session.add(ServiceIdentity(id=1, uid="0" * 32, created_at=T0))
    session.flush()
    return repository


def add_target(session: Session, name: str = "local", trust: Trust = Trust.PREVIEW, grant_to: str = "*") -> TargetRow:
    """Add a target that is granted to repositories of this pattern."""
    target = TargetRow(name=name, account="000000000001", region="us-east-1", trust=trust, created_at=T0)
    session.add(target)
    session.flush()
    session.add(Grant(target_id=target.id, repository=grant_to, app="*", stage="*", created_at=T0))
    session.flush()
    return target


def add_source(session: Session, repository: Repository, number: int = 1) -> Source:
    """Add a pull request that a webhook has just spoken of."""
    source = Source(
        repository_id=repository.id,
        kind=SourceKind.PULL,
        ref=str(number),
        generation=1,
        created_at=T0,
        updated_at=T0,
    )
    session.add(source)
    session.flush()
    return source


def add_stage(session: Session, name: str = "pr-1") -> Stage:
    """Add a stage of an app that nothing is wanted of yet."""
    repository = add_repository(session)
    app = App(repository_id=repository.id, name="notes", created_at=T0)
    session.add(app)
    session.flush()
    stage = Stage(
        app_id=app.id,
        target_id=add_target(session).id,
        name=name,
        kind=StageKind.PREVIEW,
        frozen_target={},
        prefix=f"notes-{name}",
        trust=Trust.PREVIEW,
        last_activity_at=T0,
        created_at=T0,
    )
    session.add(stage)
    session.flush()
    return stage
