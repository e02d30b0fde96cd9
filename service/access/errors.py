"""Why somebody is not let in, as the command line prints it."""

from collections.abc import Sequence
from typing import ClassVar

from stagedoor.errors import UserError


class Refused(Exception):
    """Why a caller is not let in, for the log alone; `facts` are what the log says of the caller."""

    def __init__(self, reason: str, **facts: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.facts = facts


class AccessError(UserError):
    """A request that is refused; `status` is HTTP's."""

    id = "access-refused"
    status: ClassVar[int] = 400


class NotLoggedIn(AccessError):
    """No login came with the request, or one that is over."""

    id = "not-logged-in"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "You are not logged in at this service, or your login is over.",
            "Run `stagedoor login`; a machine needs a token that is good, a workflow one that was just made for here.",
        )


class Forbidden(AccessError):
    """A caller who may not do this, or what is not there: which of the two is nobody's business."""

    id = "forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            "You may not do this here, or what you name is not there.",
            "It takes write access to the repository (for its tokens: admin), or a token that reaches this stage.",
        )


class NoWritePermission(AccessError):
    """GitHub says that this person may not write to the repository."""

    id = "no-write-permission"
    status = 403

    def __init__(self, login: str, repository: str) -> None:
        super().__init__(
            f"{login} may not write to {repository}, and only who may is let into its stages.",
            "Ask somebody who administers the repository for write access.",
        )


class UnknownRepository(AccessError):
    """The service knows no such repository."""

    id = "unknown-repository"
    status = 404

    def __init__(self, repository: str) -> None:
        super().__init__(
            f"The service does not know the repository {repository}.",
            "Install the service's GitHub App on it, and see that `git remote -v` names it as origin.",
        )


class UnknownStage(AccessError):
    """There is no such stage."""

    id = "unknown-stage"
    status = 404

    def __init__(self, stage: str) -> None:
        super().__init__(
            f"There is no stage {stage} of this app at the service.",
            "Leave --stage out for a stage of your own, or name one that the service has deployed.",
        )


class UnknownRun(AccessError):
    """There is no such run."""

    id = "unknown-run"
    status = 404

    def __init__(self, run_id: int) -> None:
        super().__init__(f"There is no run {run_id} at the service.", "`stagedoor runs` lists those that there are.")


class SeveralApps(AccessError):
    """A repository has several apps with a stage of the name."""

    id = "several-apps"
    status = 409

    def __init__(self, stage: str, apps: Sequence[str]) -> None:
        super().__init__(f"Several apps have a stage {stage}: {', '.join(sorted(apps))}.", "Name one with `app`.")


class UnknownPlan(AccessError):
    """There is no such plan."""

    id = "unknown-plan"
    status = 404

    def __init__(self, plan_id: int) -> None:
        super().__init__(f"There is no plan {plan_id} at the service.", "Ask for one: plans are kept as long as logs.")


class StageTaken(AccessError):
    """A stage of this name is not the developer's own."""

    id = "stage-taken"
    status = 409


class NotDeployed(AccessError):
    """A stage that the service deploys has nothing in AWS, or is on its way."""

    id = "stage-not-deployed"
    status = 409


class ServerOutOfReach(AccessError):
    """Functions in AWS could not reach the service."""

    id = "server-out-of-reach"
    status = 409

    def __init__(self, url: str) -> None:
        super().__init__(
            f"The service says that it is at {url}, where functions in AWS cannot reach it.",
            "Set STAGEDOOR_PUBLIC_URL to a URL that leads to the service from anywhere, or use a local AWS.",
        )


class LoginFailed(AccessError):
    """GitHub's device flow ended without a login."""

    id = "login-failed"
    status = 403


class TooMany(AccessError):
    """More logins are begun than GitHub is to be asked about."""

    id = "too-many-logins"
    status = 429

    def __init__(self) -> None:
        super().__init__("Too many people log in at this moment.", "Try again in a minute.")


class GitHubAway(AccessError):
    """GitHub cannot be asked now."""

    id = "github-unavailable"
    status = 503

    def __init__(self) -> None:
        super().__init__("GitHub cannot be asked at the moment.", "Try again in a minute.")
