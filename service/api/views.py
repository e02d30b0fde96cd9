"""What `stagedoor login` and `stagedoor dev` ask the service: short answers, so they are Flask's."""

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from service.access.errors import (
    AccessError,
    BadRequest,
    LoginFailed,
    NotLoggedIn,
    ServerOutOfReach,
    StageTaken,
    TooMany,
)
from service.access.login import DeviceFlow, Waiting
from service.access.permission import Permissions
from service.access.tokens import LOGIN_SECONDS, STAGE_SECONDS, LoginToken, StageToken, TokenInvalid, Tokens
from service.api.stages import Address, OwnStage, as_json, ask_for_bridges, find_stage, register_own, repository_at
from service.github.client import GitHubClients
from service.models import Stage, StageKind
from service.parts import Parts, current_parts
from service.relay.identity import local_endpoint
from service.relay.registry import LiveFunction, register

blueprint = Blueprint("api", __name__)
EXTENSION = "stagedoor.api"

_LOGINS_A_MINUTE = 30
_POLLS_A_MINUTE = 600
_FUNCTIONS = 1_000
_NAME = re.compile(r"[A-Za-z0-9._/@:+ -]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Access:
    """What the views need beyond the service's parts, made once a process."""

    tokens: Tokens
    flow: DeviceFlow
    permissions: Permissions
    logins: "Rate"
    polls: "Rate"

    @classmethod
    def of(cls, parts: Parts) -> "Access":
        """Return it for a service with these parts."""
        github = GitHubClients(parts.settings)
        permissions = Permissions(parts.settings, parts.sessions, github)
        return cls(
            Tokens.of(parts.settings),
            DeviceFlow(parts.settings),
            permissions,
            Rate(_LOGINS_A_MINUTE),
            Rate(_POLLS_A_MINUTE),
        )


def still_permitted(parts: Parts) -> Callable[[StageToken], Awaitable[bool]]:
    """Return what the relay asks before it renews an agent's token."""
    permissions = Access.of(parts).permissions

    async def may(claims: StageToken) -> bool:
        return await asyncio.to_thread(permissions.may_use, claims)

    return may


class Rate:
    """At most so many a minute, whoever asks: each step of a login is a call to GitHub in the App's name."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._lock = threading.Lock()

    def check(self) -> None:
        """Raise `TooMany` when there is no room for one more now."""
        moment = time.monotonic()
        with self._lock:
            if len(self._times) == self._times.maxlen and self._times[0] > moment - 60:
                raise TooMany
            self._times.append(moment)


@blueprint.errorhandler(AccessError)
def _refuse(error: AccessError) -> ResponseReturnValue:
    return {"error": {"id": error.id, "what": error.what, "remedy": error.remedy}}, error.status


@blueprint.post("/api/login")
def begin_login() -> ResponseReturnValue:
    """Begin GitHub's device flow: what to show the user, and the code to ask with."""
    _access().logins.check()
    said = _access().flow.begin()
    wanted = ("device_code", "user_code", "verification_uri", "interval", "expires_in")
    return {name: said[name] for name in wanted if name in said}


@blueprint.post("/api/login/token")
def finish_login() -> ResponseReturnValue:
    """Answer 200 with a login token, or 202 with the seconds to wait before asking again."""
    _access().polls.check()
    found = _access().flow.finish(_text(_body(), "device_code"))
    if isinstance(found, Waiting):
        return {"wait": found.seconds}, 202
    if not found.login:
        raise LoginFailed("GitHub did not say who you are.", "Run `stagedoor login` again.")
    return {"token": _access().tokens.mint(found), "login": found.login, "expires_in": LOGIN_SECONDS}


@blueprint.get("/api/stages")
def show_stage() -> ResponseReturnValue:
    """Return the stage that the query names: `repository`, `app`, `stage`."""
    address = _address(request.args)
    repository_id, _ = _let_in(address)
    with current_parts().sessions() as session:
        return as_json(session, find_stage(session, repository_id, address))


@blueprint.put("/api/stages")
def register_stage() -> ResponseReturnValue:
    """Register a stage of the developer's own: the address, and where it is deployed."""
    body = _body()
    own = OwnStage(**{field.name: _text(body, field.name, empty=True) for field in fields(OwnStage)})
    if not re.fullmatch(r"\d{12}", own.account):
        raise BadRequest("an account of twelve digits")
    _check_reach()
    address = _address(body)
    repository_id, who = _let_in(address)
    with current_parts().sessions.begin() as session:
        stage = register_own(session, repository_id, address, own, who.login)
        return {**as_json(session, stage), "server": current_parts().settings.url}


@blueprint.post("/api/stages/<int:stage_id>/token")
def stage_token(stage_id: int) -> ResponseReturnValue:
    """Return a token with which an agent may connect to the stage."""
    who = _may(stage_id)
    claims = StageToken(stage_id, who.login, who.user_id, who.host)
    return {"token": _access().tokens.mint(claims), "expires_in": STAGE_SECONDS, "developer": who.login}


@blueprint.put("/api/stages/<int:stage_id>/functions")
def register_functions(stage_id: int) -> ResponseReturnValue:
    """Write down the functions of a developer's own stage, as its deploy found them."""
    who = _may(stage_id)
    listed = _body().get("functions")
    if not isinstance(listed, list) or len(listed) > _FUNCTIONS:
        raise BadRequest("a list of functions")
    functions = [_function(one) for one in listed]
    with current_parts().sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        if stage.kind is not StageKind.PERSONAL or stage.owner != who.login:
            raise StageTaken(f"The stage {stage.name} is not yours.", "Its functions are told by whoever deploys it.")
        register(session, stage_id, functions)
    return "", 204


@blueprint.post("/api/stages/<int:stage_id>/live")
def make_live(stage_id: int) -> ResponseReturnValue:
    """Have bridges put into a stage that the service deploys (`functions`: patterns), or taken out (null)."""
    who = _may(stage_id)
    patterns = _body().get("functions")
    if patterns is not None and (not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns)):
        raise BadRequest("patterns of functions, or null")
    _check_reach()
    with current_parts().sessions.begin() as session:
        generation = ask_for_bridges(session, session.get_one(Stage, stage_id), patterns, who.login)
    return {"generation": generation}, 202


def _access() -> Access:
    access: Access = current_app.extensions[EXTENSION]
    return access


def _who() -> LoginToken:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise NotLoggedIn
        return _access().tokens.verify(token.strip(), LoginToken)
    except TokenInvalid:
        raise NotLoggedIn from None


def _let_in(address: Address) -> tuple[int, LoginToken]:
    """Return the repository's id and who asks, if they may use the repository's stages."""
    who = _who()
    with current_parts().sessions.begin() as session:
        repository_id = repository_at(session, address.repository, on_loopback=_on_loopback()).id
    # Not within the transaction: GitHub may take its time.
    _access().permissions.check(who, repository_id)
    return repository_id, who


def _may(stage_id: int) -> LoginToken:
    """Return who asks, if they may use the stage."""
    who = _who()
    with current_parts().sessions() as session:
        stage = session.get(Stage, stage_id)
        if stage is None:
            raise BadRequest("a stage that is there")
        repository_id = stage.app.repository_id
    _access().permissions.check(who, repository_id)
    return who


def _check_reach() -> None:
    """Raise `ServerOutOfReach` where functions in AWS are to speak to a service that only this machine can reach."""
    if _on_loopback() and not local_endpoint():
        raise ServerOutOfReach(current_parts().settings.url)


def _on_loopback() -> bool:
    return current_parts().settings.on_loopback


def _body() -> dict[str, Any]:
    body = request.get_json(silent=True)
    return body if isinstance(body, dict) else {}


def _address(said: Any) -> Address:
    return Address(*(_text(said, name) for name in ("repository", "app", "stage")))


def _text(said: Any, name: str, *, empty: bool = False) -> str:
    value = said.get(name)
    if isinstance(value, str) and (_NAME.match(value) or (empty and not value)):
        return value
    raise BadRequest(name)


def _function(said: Any) -> LiveFunction:
    known = {field.name: field.type for field in fields(LiveFunction)}
    if not isinstance(said, dict) or not isinstance(said.get("name"), str):
        raise BadRequest("a function's name")
    given = {name: value for name, value in said.items() if name in known}
    if not all(isinstance(value, str | bool | int) for value in given.values()):
        raise BadRequest("what is known of a function")
    try:
        return LiveFunction(**given)
    except TypeError:
        raise BadRequest("what is known of a function") from None
