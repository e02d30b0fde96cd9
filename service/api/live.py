"""What `stagedoor dev` needs: a stage of one's own, tokens for tunnels, bridges in and out; and what went through."""

from sqlalchemy import select

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import (
    AccessError,
    Forbidden,
    GitHubAway,
    NotDeployed,
    ServerOutOfReach,
    StageTaken,
    UnknownStage,
)
from service.access.tokens import STAGE_SECONDS, LoginToken, StageToken
from service.api.access import current_access
from service.api.answers import (
    FunctionAnswer,
    FunctionsAnswer,
    GenerationAnswer,
    InvocationAnswer,
    InvocationsAnswer,
    RegisteredAnswer,
    SessionAnswer,
    SessionsAnswer,
    StageTokenAnswer,
)
from service.api.bodies import FunctionsBody, LiveBody, OwnStageBody, Page
from service.api.operation import declare
from service.api.own_stages import Address, OwnStage, ask_for_bridges, register_own
from service.api.rows import stage_answers
from service.database import now
from service.models import Session, Stage, StageKind
from service.parts import current_parts
from service.relay.identity import local_endpoint
from service.relay.records import invocations
from service.relay.registry import LiveFunction, register, registered
from service.relay.rows import LONGEST_ABSENCE

_READING = (Forbidden, GitHubAway, UnknownStage)


class PeopleOnly(AccessError):
    """Something that a person does, and no workflow or machine."""

    id = "people-only"
    status = 403

    def __init__(self) -> None:
        super().__init__("Only a person has stages and tunnels of their own.", "Log in with `stagedoor login`.")


@declare("PUT", "/stages", tag="live", problems=(Forbidden, GitHubAway, PeopleOnly, StageTaken, ServerOutOfReach))
def register_stage(caller: Caller, body: OwnStageBody) -> RegisteredAnswer:
    """Register a stage that a developer deploys with credentials of their own.

    The service never deploys it: the row is there for tunnels.
    """
    who = _person(caller)
    _check_reach()
    parts = current_parts()
    repository_id = current_access().let_into_repository(
        caller, body.repository, body.stage, Right.DEPLOY, take_in=True
    )
    address = Address(body.repository, body.app, body.stage)
    own = OwnStage(body.path, body.account, body.region, body.partition, body.prefix)
    with parts.sessions.begin() as session:
        stage = register_own(session, repository_id, address, own, who.login)
        audit(session, caller, "register", stage_id=stage.id, data={"account": own.account, "region": own.region})
        (answer,) = stage_answers(session, [stage], parts.settings.url)
    return RegisteredAnswer(**answer.model_dump(), server=parts.settings.url)


@declare("POST", "/stages/{stage_id}/token", tag="live", problems=(*_READING, PeopleOnly))
def make_stage_token(caller: Caller, stage_id: int) -> StageTokenAnswer:
    """Return a token for tunnels into the stage, and for /live."""
    who = _person(caller)
    access = current_access()
    access.let_into_stage(caller, stage_id, Right.DEPLOY)
    token = access.tokens.mint(StageToken(stage_id, who.login, who.user_id, who.host))
    with current_parts().sessions.begin() as session:
        audit(session, caller, "walk-in", stage_id=stage_id)
    return StageTokenAnswer(token=token, expires_in=STAGE_SECONDS, developer=who.login)


@declare("GET", "/stages/{stage_id}/functions", tag="live", problems=_READING)
def list_functions(caller: Caller, stage_id: int) -> FunctionsAnswer:
    """List the functions of a stage with bridges, live and not."""
    current_access().let_into_stage(caller, stage_id, Right.READ)
    with current_parts().sessions() as session:
        found = registered(session, stage_id)
    return FunctionsAnswer(functions=[FunctionAnswer.model_validate(one, from_attributes=True) for one in found])


@declare("PUT", "/stages/{stage_id}/functions", tag="live", status=204, problems=(*_READING, PeopleOnly, StageTaken))
def register_functions(caller: Caller, stage_id: int, body: FunctionsBody) -> None:
    """Write down the functions of a developer's own stage, as its deploy found them."""
    who = _person(caller)
    current_access().let_into_stage(caller, stage_id, Right.DEPLOY)
    with current_parts().sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        if stage.kind is not StageKind.PERSONAL or stage.owner != who.login:
            raise StageTaken(f"The stage {stage.name} is not yours.", "Its functions are told by whoever deploys it.")
        register(session, stage_id, [LiveFunction(**each.model_dump()) for each in body.functions])
        audit(session, caller, "register-functions", stage_id=stage_id, data={"functions": len(body.functions)})


@declare(
    "POST",
    "/stages/{stage_id}/live",
    tag="live",
    status=202,
    problems=(*_READING, PeopleOnly, StageTaken, NotDeployed, ServerOutOfReach),
)
def request_bridges(caller: Caller, stage_id: int, body: LiveBody) -> GenerationAnswer:
    """Have bridges put into the functions of a stage that the service deploys, or taken out of them."""
    who = _person(caller)
    current_access().let_into_stage(caller, stage_id, Right.DEPLOY)
    _check_reach()
    with current_parts().sessions.begin() as session:
        generation = ask_for_bridges(session, session.get_one(Stage, stage_id), body.functions, who.login)
        audit(session, caller, "live", stage_id=stage_id, data={"functions": body.functions, "generation": generation})
    return GenerationAnswer(generation=generation)


@declare("GET", "/stages/{stage_id}/sessions", tag="live", problems=_READING)
def list_sessions(caller: Caller, stage_id: int) -> SessionsAnswer:
    """List who is connected to a stage, in the order in which they came."""
    current_access().let_into_stage(caller, stage_id, Right.READ)
    with current_parts().sessions() as session:
        since = now(session) - LONGEST_ABSENCE
        here = (Session.stage_id == stage_id, Session.closed_at.is_(None), Session.seen_at >= since)
        found = session.scalars(select(Session).where(*here).order_by(Session.id)).all()
    return SessionsAnswer(sessions=[SessionAnswer.model_validate(one, from_attributes=True) for one in found])


@declare("GET", "/stages/{stage_id}/invocations", tag="live", problems=_READING)
def list_invocations(caller: Caller, stage_id: int, query: Page) -> InvocationsAnswer:
    """List what went through tunnels into a stage, newest first, without payloads.

    One is sent again by POST /live/invocations/{id}/replay, with a stage's token: that goes to the relay.
    """
    current_access().let_into_stage(caller, stage_id, Right.READ)
    rows = invocations(current_parts().sessions, stage_id, query.before, query.limit)
    found = [InvocationAnswer(**row) for row in rows]
    return InvocationsAnswer(invocations=found, next=str(found[-1].id) if len(found) == query.limit else None)


def _person(caller: Caller) -> LoginToken:
    if caller.login is None:
        raise PeopleOnly
    return caller.login


def _check_reach() -> None:
    """Raise `ServerOutOfReach` where functions in AWS are to speak to a service that only this machine can reach."""
    settings = current_parts().settings
    if settings.on_loopback and not local_endpoint():
        raise ServerOutOfReach(settings.url)
