"""What is true in the local GitHub beside what the emulator keeps: repositories, heads of pull requests, tokens."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from demo.github.deployments import Deployments, moment
from demo.github.git_repository import GitRepository
from demo.github.shapes import Commit, Json, Place, node_id
from demo.github.workflow_runs import WorkflowRun

DEVELOPER = "mona"
ORGANIZATION = "acme"
APP_SLUG = "stagedoor"
PERMISSIONS = {
    "actions": "read",
    "checks": "write",
    "contents": "read",
    "deployments": "write",
    "issues": "read",
    "metadata": "read",
    "pull_requests": "write",
}
EVENTS = [
    "check_run",
    "check_suite",
    "delete",
    "installation_target",
    "issue_comment",
    "pull_request",
    "push",
    "repository",
    "workflow_run",
]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who comments: GitHub's number of them, and what they may do with the organization's repositories."""

    number: int
    permission: str


@dataclass(slots=True)
class LocalPull:
    """Where a pull request's two ends are. The rest of it is the emulator's."""

    number: int
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    fork: "LocalRepository | None" = None
    merge_sha: str | None = None


@dataclass(slots=True)
class LocalRepository:
    """A repository: its id and shape, its commits, its deployments, where its pull requests' heads are."""

    full_name: str
    number: int
    shape: Json
    git: GitRepository
    deployments: Deployments
    pulls: dict[int, LocalPull] = field(default_factory=dict)
    check_runs: dict[str, list[int]] = field(default_factory=dict)
    check_run_states: dict[int, list[str]] = field(default_factory=dict)
    statuses: dict[str, list[Json]] = field(default_factory=dict)
    workflow_runs: dict[int, WorkflowRun] = field(default_factory=dict)

    def saw_check_run(self, number: int, state: str) -> None:
        """Remember a state that a check run was in, each once as it follows another."""
        states = self.check_run_states.setdefault(number, [])
        if states[-1:] != [state]:
            states.append(state)

    def commit(self, sha: str) -> Commit:
        """Return what git knows of a commit."""
        return Commit(sha, *self.git.about(sha))


@dataclass(frozen=True, slots=True)
class Access:
    """What a token may do: on which repositories (None: on all) and with which permissions (None: with all)."""

    login: str
    repositories: frozenset[int] | None = None
    permissions: Json | None = None
    expires_at: datetime | None = None

    def allows(self, repository: LocalRepository, permission: str, level: str) -> bool:
        """Tell whether a `read` or `write` of one kind is allowed on a repository."""
        if self.repositories is not None and repository.number not in self.repositories:
            return False
        if self.permissions is None:
            return True
        return self.permissions.get(permission) in ({"read", "write"} if level == "read" else {"write"})


@dataclass(slots=True)
class World:
    """Everything that the overlay knows. `app_id` and `installation_id` are those of the one App."""

    place: Place
    app_id: int
    installation_id: int
    repositories: dict[str, LocalRepository] = field(default_factory=dict)
    tokens: dict[str, Access] = field(default_factory=dict)
    suspended: bool = False
    removed: bool = False
    people: dict[str, Person] = field(default_factory=dict)  # beside the developer
    developer_permission: str = "admin"  # or write, read, none
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(9001))

    @property
    def owner(self) -> Json:
        """The organization that owns the repositories."""
        return self.place.user(ORGANIZATION, 101, "Organization")

    @property
    def developer(self) -> Json:
        """The person who pushes and opens pull requests."""
        return self.place.user(DEVELOPER, 102)

    def person(self, login: str) -> Person | None:
        """Return somebody by their name in lower case: the developer, or one who has commented."""
        if login == DEVELOPER:
            return Person(self.developer["id"], self.developer_permission)
        return self.people.get(login)

    @property
    def bot(self) -> Json:
        """The App's own user."""
        return self.place.user(f"{APP_SLUG}[bot]", 103, "Bot")

    @property
    def app(self) -> Json:
        """The App, as comments and check runs name it."""
        return {
            "id": self.app_id,
            "slug": APP_SLUG,
            "node_id": node_id("App", self.app_id),
            "owner": self.owner,
            "name": "Stagedoor",
            "description": "",
            "external_url": f"{self.place.url}/apps/{APP_SLUG}",
            "html_url": f"{self.place.url}/apps/{APP_SLUG}",
            "created_at": moment(),
            "updated_at": moment(),
            "permissions": PERMISSIONS,
            "events": EVENTS,
        }

    def pulls_of(self, repository: LocalRepository, sha: str) -> list[Json]:
        """Return the pull requests whose head is at a commit, in the short form of check runs."""
        api = f"{self.place.url}/repos/{repository.full_name}"
        short = {"id": repository.number, "url": api, "name": repository.shape["name"]}
        return [
            {
                "id": pull.number,
                "number": pull.number,
                "url": f"{api}/pulls/{pull.number}",
                "head": {"ref": pull.head_ref, "sha": pull.head_sha, "repo": short},
                "base": {"ref": pull.base_ref, "sha": pull.base_sha, "repo": short},
            }
            for pull in repository.pulls.values()
            if pull.head_sha == sha and pull.fork is None
        ]

    def access(self, token: str) -> Access | None:
        """Return what a token may do, or None when it is unknown or has expired."""
        access = self.tokens.get(token)
        if access is None or (access.expires_at and access.expires_at <= datetime.now(UTC)):
            return None
        return access

    def pull_ends(self, repository: LocalRepository, pull: LocalPull) -> Json:
        """Return the fields of a pull request that follow its commits."""
        head = pull.fork or repository
        api = f"{self.place.url}/repos/{repository.full_name}"
        links = {
            "self": f"{api}/pulls/{pull.number}",
            "html": f"{self.place.url}/{repository.full_name}/pull/{pull.number}",
            "issue": f"{api}/issues/{pull.number}",
            "comments": f"{api}/issues/{pull.number}/comments",
            "review_comments": f"{api}/pulls/{pull.number}/comments",
            "review_comment": f"{api}/pulls/comments{{/number}}",
            "commits": f"{api}/pulls/{pull.number}/commits",
            "statuses": f"{api}/statuses/{pull.head_sha}",
        }
        return {
            "head": self.place.end(pull.head_ref, pull.head_sha, head.shape),
            "base": self.place.end(pull.base_ref, pull.base_sha, repository.shape),
            "merge_commit_sha": pull.merge_sha,
            "statuses_url": links["statuses"],
            "_links": {name: {"href": link} for name, link in links.items()},
            "user": self.developer,
            "author_association": "MEMBER",
            "active_lock_reason": None,
            "maintainer_can_modify": False,
            "changed_files": len(repository.git.changes(pull.base_sha, pull.head_sha)),
        }


def new_private_key() -> str:
    """Return a private key as GitHub gives one to an App: RSA, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()
