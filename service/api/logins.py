"""Who asks: people log in by GitHub's device flow, jobs of GitHub Actions exchange their OIDC token."""

from flask import request

from service.access.errors import GitHubAway, LoginFailed, NotLoggedIn, TooMany
from service.access.login import Waiting
from service.access.tokens import LOGIN_SECONDS
from service.api.access import current_access
from service.api.answers import LoggedIn, LoginBegun, LoginWaiting, RunTokenAnswer
from service.api.bodies import Exchange, LoginPoll
from service.api.limits import TooManyFromAddress
from service.api.operation import Answered, declare


@declare("POST", "/login", tag="login", problems=(LoginFailed, TooManyFromAddress, TooMany, GitHubAway))
def begin_login() -> LoginBegun:
    """Begin a login.

    GitHub's device flow (RFC 8628): show the user the code and the page, then poll.
    """
    access = current_access()
    access.logins.check(request.remote_addr)
    said = access.flow.begin()
    interval, expires_in = int(said.get("interval", 5)), int(said.get("expires_in", 900))
    return LoginBegun(
        device_code=str(said["device_code"]),
        user_code=str(said["user_code"]),
        verification_uri=str(said["verification_uri"]),
        interval=interval,
        expires_in=expires_in,
    )


@declare(
    "POST",
    "/login/poll",
    tag="login",
    answers={200: LoggedIn, 202: LoginWaiting},
    problems=(LoginFailed, TooManyFromAddress, TooMany, GitHubAway),
)
def poll_login(body: LoginPoll) -> Answered:
    """Ask whether the login was approved.

    202 says how many seconds to wait before asking again.
    """
    access = current_access()
    access.polls.check(request.remote_addr)
    found = access.flow.finish(body.device_code)
    if isinstance(found, Waiting):
        return Answered(LoginWaiting(wait=found.seconds), 202)
    if not found.login:
        raise LoginFailed("GitHub did not say who you are.", "Run `stagedoor login` again.")
    token = access.tokens.mint(found)
    return Answered(LoggedIn(token=token, login=found.login, expires_in=LOGIN_SECONDS), 200)


@declare("POST", "/actions/token", tag="login", problems=(NotLoggedIn, TooManyFromAddress, GitHubAway))
def exchange_actions_token(body: Exchange) -> RunTokenAnswer:
    """Exchange the OIDC token of a job of GitHub Actions.

    The job's token is good once, its audience is the service's URL. What is given reaches the job's repository alone,
    and of that the stages that its event, branch and environment let it reach.
    """
    access = current_access()
    access.exchanges.check(request.remote_addr)
    said = access.callers.exchange(
        body.token, {"app": body.app, "stage": body.stage, "command": body.command, "address": request.remote_addr}
    )
    return RunTokenAnswer(**said)
