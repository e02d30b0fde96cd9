"""Tokens for machines, and the record of who did what: for whoever administers a repository."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import AccessError, Forbidden, GitHubAway
from service.access.machine_tokens import MOST_DAYS, RIGHTS, TokenNotMade, create, listed, revoke
from service.api.access import current_access
from service.api.answers import Answer, AuditAnswer, AuditsAnswer
from service.api.bodies import AuditQuery, Body, RepositoryAddress, TokenQuery, Whole
from service.api.operation import declare
from service.models import App, Audit, MachineToken, Stage
from service.parts import current_parts

_ADMIN = (Forbidden, GitHubAway)


class UnknownToken(AccessError):
    """There is no such token, or it was revoked already."""

    id = "unknown-token"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such token that is good.", "GET /api/v1/tokens lists a repository's.")


class TokenBody(Body):
    """A token that is wanted."""

    repository: RepositoryAddress
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"), Field(examples=["nightly"])]
    stage: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z0-9*?\[\]!-]{1,64}$"),
        Field(description="The stages that it reaches, as a pattern", examples=["pr-*"]),
    ]
    rights: Annotated[
        list[Literal["read", "plan", "deploy", "remove"]],
        Field(min_length=1, max_length=len(RIGHTS)),
    ]
    days: Annotated[int, Field(ge=1, le=MOST_DAYS), Whole] = 90


class TokenAnswer(Answer):
    """A token, without its secret. `hint` is how it begins."""

    id: int
    name: str
    stage: str
    rights: list[str]
    hint: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewTokenAnswer(TokenAnswer):
    """A new token. The secret is shown now and never again."""

    token: str


class TokensAnswer(Answer):
    """A repository's tokens, newest first, those that are over, too."""

    tokens: list[TokenAnswer]


@declare("POST", "/tokens", tag="operators", status=201, problems=(*_ADMIN, TokenNotMade))
def create_token(caller: Caller, body: TokenBody) -> NewTokenAnswer:
    """Make a token for a machine.

    It reaches stages of one repository for at most a year, and can make no other.
    """
    repository_id = current_access().let_into_repository(caller, body.repository, None, Right.ADMIN)
    with current_parts().sessions.begin() as session:
        row, secret = create(
            session,
            repository_id,
            body.name,
            stage=body.stage,
            rights=map(Right, body.rights),
            days=body.days,
            created_by=caller.name,
        )
        data = {"repository_id": repository_id, "stage": body.stage, "rights": row.rights, "days": body.days}
        audit(session, caller, "token-created", subject=f"token {body.name}", data=data)
        return NewTokenAnswer(**_token(row).model_dump(), token=secret)


@declare("GET", "/tokens", tag="operators", problems=_ADMIN)
def list_tokens(caller: Caller, query: TokenQuery) -> TokensAnswer:
    """List a repository's tokens, newest first; no secret is among what is listed."""
    repository_id = current_access().let_into_repository(caller, query.repository, None, Right.ADMIN)
    with current_parts().sessions() as session:
        return TokensAnswer(tokens=[_token(row) for row in listed(session, repository_id)])


@declare("DELETE", "/tokens/{token_id}", tag="operators", status=204, problems=(*_ADMIN, UnknownToken))
def revoke_token(caller: Caller, token_id: int) -> None:
    """Have a token be good no longer, from now on."""
    with current_parts().sessions() as session:
        row = session.get(MachineToken, token_id)
    if row is None:
        raise UnknownToken
    current_access().callers.check(caller, row.repository_id, None, Right.ADMIN)
    with current_parts().sessions.begin() as session:
        if not revoke(session, token_id):
            raise UnknownToken
        data = {"repository_id": row.repository_id}
        audit(session, caller, "token-revoked", subject=f"token {row.name}", data=data)


@declare("GET", "/audit", tag="operators", problems=_ADMIN)
def list_audit(caller: Caller, query: AuditQuery) -> AuditsAnswer:
    """List who did what to a repository's stages, newest first."""
    repository_id = current_access().let_into_repository(caller, query.repository, None, Right.ADMIN)
    with current_parts().sessions() as session:
        rows = _audited(session, repository_id, query)
    audits = [
        AuditAnswer(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            stage=row.stage_id,
            subject=row.subject,
            data=row.data,
        )
        for row in rows
    ]
    return AuditsAnswer(audit=audits, next=str(audits[-1].id) if len(audits) == query.limit else None)


def _audited(session: Session, repository_id: int, query: AuditQuery) -> Any:
    """Return what was done to a repository's stages, and to the repository itself where no stage is named."""
    stages = select(Stage.id).join(App, Stage.app_id == App.id).where(App.repository_id == repository_id)
    of_stages = Audit.stage_id.in_(stages if query.stage is None else stages.where(Stage.name == query.stage))
    wanted = of_stages
    if query.stage is None:
        wanted = of_stages | (Audit.data["repository_id"].as_integer() == repository_id)
    found = select(Audit).where(wanted)
    if query.before is not None:
        found = found.where(Audit.id < query.before)
    return session.scalars(found.order_by(Audit.id.desc()).limit(query.limit)).all()


def _token(row: MachineToken) -> TokenAnswer:
    return TokenAnswer(
        id=row.id,
        name=row.name,
        stage=row.stage,
        rights=row.rights.split(),
        hint=row.hint,
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
