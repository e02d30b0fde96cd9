"""Targets and grants as their operator wrote them down: a TOML file, made true in the database when the service starts.

    [targets.previews]
    account = "123456789012"
    region = "eu-central-1"
    trust = "preview"
    deploy_role = "arn:aws:iam::123456789012:role/stagedoor-deploy"
    execution_role = "arn:aws:iam::123456789012:role/stagedoor-preview-execution"

    [[grants]]
    target = "previews"
    repository = "acme/*"

Without a file nothing is granted, with one exception: where `AWS_ENDPOINT_URL` points at this machine there is one
target, that local AWS, granted to everything.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from service.database import Sessions, alone, now
from service.models import Grant, ServiceIdentity, TargetRow
from service.settings import LOOPBACK, Settings, SettingsInvalid
from stagedoor.target import ImageBuilds, Trust

log = structlog.get_logger(__name__)

Arn = Annotated[str, Field(pattern=r"^arn:[a-z-]+:iam::\d{12}:")]
Pattern = Annotated[str, Field(min_length=1, max_length=255)]
Count = Annotated[int, Field(strict=True, gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeclaredLimits(_Strict):
    """`[targets.<name>.assembly_limits]`; what is not named is as in `stagedoor.assembly.inspection.InspectionLimits`.
    A template's bytes are not among them: those are CloudFormation's limit.
    """

    stacks: Count | None = None
    assets: Count | None = None
    files: Count | None = None
    file_bytes: Count | None = None
    total_bytes: Count | None = None


class DeclaredTarget(_Strict):
    """One `[targets.<name>]`; see `stagedoor.target.Target` and, for the last three, `stagedoor.assembly.rules` and
    `DeclaredLimits`.
    """

    account: Annotated[str, Field(pattern=r"^\d{12}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    partition: str = "aws"
    trust: Trust = Trust.PREVIEW
    qualifier: Annotated[str, Field(pattern=r"^[a-z0-9]{1,10}$")] = "hnb659fds"
    deploy_role: Arn | None = None
    execution_role: Arn | None = None
    publish_role: Arn | None = None
    lookup_role: Arn | None = None
    external_id: str | None = None
    permissions_boundary: Arn | None = None
    image_builds: ImageBuilds = ImageBuilds.REFUSED
    denied_types: list[Pattern] | None = None
    allowed_transforms: list[Pattern] | None = None
    assembly_limits: DeclaredLimits | None = None


class DeclaredGrant(_Strict):
    """One `[[grants]]`; repository, app and stage are shell patterns."""

    target: str
    repository: str
    app: str = "*"
    stage: str = "*"


class Declared(_Strict):
    """The whole file."""

    targets: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")], DeclaredTarget] = Field(
        default_factory=dict
    )
    grants: tuple[DeclaredGrant, ...] = ()


def declared_targets(settings: Settings) -> Declared:
    """Return what the operator declared; raises `SettingsInvalid` with the place of the first mistake."""
    if settings.targets_file is None and not settings.targets:
        return _local_target()
    source = str(settings.targets_file or "STAGEDOOR_TARGETS")
    try:
        text = settings.targets if settings.targets_file is None else Path(settings.targets_file).read_text()
        declared = Declared.model_validate(tomllib.loads(text))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsInvalid(f"{source}: {error}.", "Put the file of targets right.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsInvalid(f"{source}: {place}: {first['msg']}.", "Put the file of targets right.") from None
    for grant in declared.grants:
        if grant.target not in declared.targets:
            raise SettingsInvalid(
                f"{source}: a grant names the target {grant.target!r}, which is not there.",
                f"Name one of: {', '.join(sorted(declared.targets)) or 'none is declared'}.",
            )
    return declared


def _local_target() -> Declared:
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if urlsplit(endpoint).hostname not in LOOPBACK:
        return Declared()
    key = os.environ.get("AWS_ACCESS_KEY_ID", "")
    account = key if key.isdigit() and len(key) == 12 else "000000000000"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return Declared(
        targets={"local": DeclaredTarget(account=account, region=region)},
        grants=(DeclaredGrant(target="local", repository="*"),),
    )


def prepare(sessions: Sessions, settings: Settings) -> str:
    """Give the service its id, once and for all, and make targets and grants what the operator declared.

    Return the id.
    """
    declared = declared_targets(settings)
    if not declared.grants:
        log.warning("no target is granted to any repository, so nothing will be deployed: set STAGEDOOR_TARGETS_FILE")
    with sessions.begin() as session:
        alone(session)
        identity = session.scalars(select(ServiceIdentity)).one_or_none()
        if identity is None:
            identity = ServiceIdentity(id=1, uid=uuid4().hex, created_at=now(session))
            session.add(identity)
        _make_true(session, declared)
        return identity.uid


def service_id(sessions: Sessions) -> str | None:
    """Return the service's id; None while no `stagedoor serve` has ever prepared this database."""
    try:
        with sessions() as session:
            return session.scalar(select(ServiceIdentity.uid))
    except (OperationalError, ProgrammingError):  # out of reach, or without tables
        return None


def _make_true(session: Session, declared: Declared) -> None:
    moment = now(session)
    rows = {row.name: row for row in session.scalars(select(TargetRow))}
    for name, target in declared.targets.items():
        row = rows.get(name)
        if row is None:
            row = rows[name] = TargetRow(name=name, created_at=moment)
            session.add(row)
        for field, value in target.model_dump().items():
            setattr(row, field, value)
    # A target that is declared no more stays, for the stages that were born in it; its grants go.
    session.execute(delete(Grant))
    session.flush()
    session.add_all(
        Grant(
            target_id=rows[grant.target].id,
            repository=grant.repository,
            app=grant.app,
            stage=grant.stage,
            created_at=moment,
        )
        for grant in dict.fromkeys(declared.grants)
    )
