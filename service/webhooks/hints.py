"""What a payload says, as data: a hint at what to ask GitHub again. Pure; nothing is looked up.

Source of the shapes: https://docs.github.com/en/webhooks/webhook-events-and-payloads. Only what every example of
GitHub's own has is required; a payload that lacks it is ignored with a reason, since an error would only make GitHub
call it failed and never send it again.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_BRANCH = "refs/heads/"
_ID_LIMIT = 2**63
_TEXT_LIMIT = 255
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

_DEPLOY = re.compile(r"[ \t\r\n]*/deploy(?:[ \t]+([0-9A-Fa-f]{1,64}))?[ \t]*(?:\r?\n|\Z)")
"""A comment's first line that says something. Whatever else stands on it makes it one that is about the command."""

PULL_REQUEST_ACTIONS = frozenset(
    {
        "opened",
        "reopened",
        "synchronize",
        "closed",
        "ready_for_review",
        "converted_to_draft",
        "labeled",
        "unlabeled",
        "edited",
    }
)


@dataclass(frozen=True, slots=True)
class SeenInstallation:
    """An installation of the App as a payload names it."""

    github_id: int
    account: str = ""


@dataclass(frozen=True, slots=True)
class SeenRepository:
    """A repository as a payload names it; short forms leave out `default_branch`."""

    github_id: int
    full_name: str
    default_branch: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something happened: a repository, and the installation through which we heard of it, if it said so."""

    repository: SeenRepository
    installation: SeenInstallation | None = None


@dataclass(frozen=True, slots=True)
class PullRequestTouched:
    """A pull request may have another head, base, label or state than before."""

    place: Place
    number: int
    action: str

    def __str__(self) -> str:
        return f"pull request {self.number}: {self.action}"


@dataclass(frozen=True, slots=True)
class BranchPushed:
    """A branch has another head than before, or is new."""

    place: Place
    branch: str

    def __str__(self) -> str:
        return f"branch {self.branch}: pushed"


@dataclass(frozen=True, slots=True)
class BranchDeleted:
    """A branch is no longer there."""

    place: Place
    branch: str

    def __str__(self) -> str:
        return f"branch {self.branch}: deleted"


class InstallationState(StrEnum):
    """What became of an installation."""

    CREATED = "created"
    DELETED = "deleted"
    SUSPENDED = "suspend"
    UNSUSPENDED = "unsuspend"


@dataclass(frozen=True, slots=True)
class InstallationChanged:
    """The App was installed, removed, suspended or woken; `repositories` are those that it can see."""

    installation: SeenInstallation
    state: InstallationState
    repositories: tuple[SeenRepository, ...] = ()

    def __str__(self) -> str:
        return f"installation {self.installation.github_id}: {self.state}"


@dataclass(frozen=True, slots=True)
class RepositoriesChanged:
    """An installation sees more repositories than before, or fewer."""

    installation: SeenInstallation
    added: tuple[SeenRepository, ...] = ()
    removed: tuple[SeenRepository, ...] = ()

    def __str__(self) -> str:
        return f"installation {self.installation.github_id}: {len(self.added)} added, {len(self.removed)} removed"


@dataclass(frozen=True, slots=True)
class AccountRenamed:
    """The account that an installation belongs to has another name, and so have all of its repositories."""

    installation: SeenInstallation
    old_account: str

    def __str__(self) -> str:
        return f"account {self.old_account}: renamed {self.installation.account}"


@dataclass(frozen=True, slots=True)
class RepositoryChanged:
    """A repository was renamed, transferred, given another default branch, or deleted."""

    place: Place
    action: str

    @property
    def is_gone(self) -> bool:
        """Return whether the repository is no more."""
        return self.action == "deleted"

    def __str__(self) -> str:
        return f"repository {self.place.repository.full_name}: {self.action}"


@dataclass(frozen=True, slots=True)
class RerunRequested:
    """Somebody asked for a check again. GitHub lists no pull requests from forks, and none that closed meanwhile."""

    place: Place
    check_run_id: int | None
    pull_requests: tuple[int, ...]
    branch: str
    head_sha: str

    def __str__(self) -> str:
        what = f"check run {self.check_run_id}" if self.check_run_id else f"check suite of {self.head_sha[:8]}"
        return f"{what}: rerun requested"


@dataclass(frozen=True, slots=True)
class WorkflowEnded:
    """A workflow's run for a commit is over, well or not. GitHub lists no pull requests from forks."""

    place: Place
    branch: str
    head_sha: str

    def __str__(self) -> str:
        return f"workflow run for {self.head_sha[:8]}: completed"


@dataclass(frozen=True, slots=True)
class DeployAsked:
    """Somebody wrote `/deploy <sha>` under a pull request; `sha` is empty where they named none."""

    place: Place
    number: int
    comment_id: int
    login: str
    user_id: int
    sha: str

    def __str__(self) -> str:
        return f"pull request {self.number}: deploy of {self.sha[:8] or 'no commit'} asked for in a comment"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing of ours is touched; `reason` says why."""

    reason: str

    def __str__(self) -> str:
        return f"ignored: {self.reason}"


Hint = (
    PullRequestTouched
    | BranchPushed
    | BranchDeleted
    | InstallationChanged
    | RepositoriesChanged
    | AccountRenamed
    | RepositoryChanged
    | RerunRequested
    | WorkflowEnded
    | DeployAsked
    | Ignored
)


class _Unusable(Exception):
    """The payload lacks something that its event always has, or has it in a form that no database stores."""


def hint_of(event: str, payload: Mapping[str, Any]) -> Hint:
    """Return what a delivery hints at. Never raises: what it does not understand it ignores, with a reason."""
    read = _READERS.get(event)
    if read is None:
        return Ignored(f"{event} is not an event of interest")
    try:
        action = _text(payload, "action", default="")
        return read(payload, action) or Ignored(f"{event} {action}".rstrip() + " changes nothing of ours")
    except _Unusable as unusable:
        return Ignored(f"{event} with {unusable}")


def _pull_request(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action not in PULL_REQUEST_ACTIONS:
        return None
    if action == "edited" and "base" not in _mapping(payload, "changes", default={}):
        return None
    number = _number(_mapping(payload, "pull_request"), "number")
    return PullRequestTouched(_place(payload), number, action)


def _push(payload: Mapping[str, Any], _action: str) -> Hint | None:
    ref = _text(payload, "ref", limit=len(_BRANCH) + _TEXT_LIMIT)
    if not ref.startswith(_BRANCH):
        return None
    branch = ref.removeprefix(_BRANCH)
    place = _place(payload)
    return BranchDeleted(place, branch) if payload.get("deleted") is True else BranchPushed(place, branch)


def _delete(payload: Mapping[str, Any], _action: str) -> Hint | None:
    if _text(payload, "ref_type") != "branch":
        return None
    return BranchDeleted(_place(payload), _text(payload, "ref").removeprefix(_BRANCH))


def _installation(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action not in set(InstallationState):
        return None
    return InstallationChanged(
        _installation_in(payload), InstallationState(action), _repositories(payload, "repositories")
    )


def _installation_repositories(payload: Mapping[str, Any], _action: str) -> Hint | None:
    return RepositoriesChanged(
        _installation_in(payload),
        _repositories(payload, "repositories_added"),
        _repositories(payload, "repositories_removed"),
    )


def _installation_target(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action != "renamed":
        return None
    account = _text(_mapping(payload, "account"), "login")
    old = _text(_mapping(_mapping(payload, "changes"), "login"), "from")
    return AccountRenamed(SeenInstallation(_number(_mapping(payload, "installation"), "id"), account), old)


def _repository(payload: Mapping[str, Any], action: str) -> Hint | None:
    changed = _mapping(payload, "changes", default={})
    if action not in {"renamed", "transferred", "deleted"} and not (action == "edited" and "default_branch" in changed):
        return None
    return RepositoryChanged(_place(payload), action)


def _check_run(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action != "rerequested":
        return None
    run = _mapping(payload, "check_run")
    return _rerun(payload, run, _mapping(run, "check_suite", default={}), _number(run, "id"))


def _check_suite(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action != "rerequested":
        return None
    suite = _mapping(payload, "check_suite")
    return _rerun(payload, suite, suite, None)


def _rerun(
    payload: Mapping[str, Any], check: Mapping[str, Any], suite: Mapping[str, Any], check_run_id: int | None
) -> Hint:
    place = _place(payload)
    numbers = {
        _number(pull, "number")
        for pull in _mappings(check, "pull_requests")
        if _mapping(_mapping(pull, "base"), "repo").get("id") == place.repository.github_id
    }
    branch = _text(suite, "head_branch", default="")
    return RerunRequested(place, check_run_id, tuple(sorted(numbers)), branch, _text(check, "head_sha"))


def _workflow_run(payload: Mapping[str, Any], action: str) -> Hint | None:
    if action != "completed":
        return None
    run = _mapping(payload, "workflow_run")
    return WorkflowEnded(_place(payload), _text(run, "head_branch", default=""), _text(run, "head_sha"))


def _issue_comment(payload: Mapping[str, Any], action: str) -> Hint | None:
    """Read a comment when it is written; what it was edited to later is not what its author's right was asked for."""
    issue, comment = _mapping(payload, "issue"), _mapping(payload, "comment")
    said = comment.get("body")
    if action != "created" or issue.get("pull_request") is None or not isinstance(said, str):
        return None
    found = _DEPLOY.match(said)
    author = _mapping(comment, "user", default={})
    if found is None or not author or author.get("type") == "Bot":
        return None
    return DeployAsked(
        _place(payload),
        _number(issue, "number"),
        _number(comment, "id"),
        _text(author, "login"),
        _number(author, "id"),
        (found[1] or "").lower(),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Hint | None]] = {
    "pull_request": _pull_request,
    "push": _push,
    "delete": _delete,
    "installation": _installation,
    "installation_repositories": _installation_repositories,
    "installation_target": _installation_target,
    "repository": _repository,
    "check_run": _check_run,
    "check_suite": _check_suite,
    "workflow_run": _workflow_run,
    "issue_comment": _issue_comment,
}


def _place(payload: Mapping[str, Any]) -> Place:
    installation = _installation_in(payload) if payload.get("installation") is not None else None
    return Place(_seen_repository(_mapping(payload, "repository")), installation)


def _installation_in(payload: Mapping[str, Any]) -> SeenInstallation:
    installation = _mapping(payload, "installation")
    account = _mapping(installation, "account", default={})
    # An installation on an enterprise has an account with a slug and without a login.
    name = _text(account, "login", default="") or _text(account, "slug", default="")
    return SeenInstallation(_number(installation, "id"), name)


def _seen_repository(repository: Mapping[str, Any]) -> SeenRepository:
    return SeenRepository(
        _number(repository, "id"),
        _text(repository, "full_name"),
        _text(repository, "default_branch", default=""),
    )


def _repositories(payload: Mapping[str, Any], key: str) -> tuple[SeenRepository, ...]:
    return tuple(_seen_repository(repository) for repository in _mappings(payload, key))


def _mappings(payload: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = payload.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise _Unusable(f"an unusable {key}")
    return found


def _mapping(payload: Mapping[str, Any], key: str, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    found = payload.get(key)
    if found is None and default is not None:
        return default
    if not isinstance(found, Mapping):
        raise _Unusable(f"no usable {key}")
    return found


def _number(payload: Mapping[str, Any], key: str) -> int:
    found = payload.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 < found < _ID_LIMIT:
        raise _Unusable(f"no usable {key}")
    return found


def _text(payload: Mapping[str, Any], key: str, default: str | None = None, limit: int = _TEXT_LIMIT) -> str:
    """Return a text that every database can store: not too long, no NUL, no half of a surrogate pair."""
    found = payload.get(key)
    if default is not None and found in (None, ""):
        return default
    if not isinstance(found, str) or not 0 < len(found) <= limit or _UNSTORABLE.search(found):
        raise _Unusable(f"no usable {key}")
    return found
