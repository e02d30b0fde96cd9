"""The local GitHub: start it, and play the developer and the browser.

with LocalGitHub() as github:
    notes = github.create_repository("acme/notes", Path("examples/notes"))
    github.push(notes, "shorter", {"app.py": "…"})
    number = github.open_pull_request(notes, head="shorter", base="main", title="Shorter")
"""

import http.client
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from demo.github.conversation import Conversation
from demo.github.deliveries import Deliveries, Delivery
from demo.github.deployments import Deployments, moment
from demo.github.emulator import Emulator
from demo.github.git_repository import NO_COMMIT, GitRepository
from demo.github.manifests import Manifests
from demo.github.overlay import Overlay
from demo.github.payloads import Payloads
from demo.github.shapes import Json, Place
from demo.github.world import (
    APP_SLUG,
    DEVELOPER,
    EVENTS,
    ORGANIZATION,
    PERMISSIONS,
    Access,
    LocalPull,
    LocalRepository,
    World,
    new_private_key,
)

_DEVELOPER_TOKEN = "developer"


class LocalGitHub(Conversation):
    """A GitHub with one App, installed on one organization, and one developer.

    Webhooks go to `webhook_url`, which may be set later, as the App's page on GitHub allows, too. Each method that
    causes one takes `deliver=False` to have it lost on the way; `redeliver` sends one again.
    """

    app_id = 4711
    installation_id = 815
    developer_token = _DEVELOPER_TOKEN

    def __init__(self, webhook_url: str = "", webhook_secret: str = "a-secret-of-the-local-github") -> None:
        self.webhook_secret = webhook_secret
        self._stack = ExitStack()
        self._deliveries = Deliveries(webhook_url, webhook_secret, self.app_id)
        self.private_key = new_private_key()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            self._root = Path(starting.enter_context(tempfile.TemporaryDirectory(prefix="local-github-")))
            self._overlay = starting.enter_context(Overlay(self._root))
            place = Place(f"http://127.0.0.1:{self._overlay.port}")
            self._world = World(place, self.app_id, self.installation_id)
            self._world.tokens[_DEVELOPER_TOKEN] = Access(DEVELOPER)
            self._overlay.world = self._world
            self._overlay.manifests = Manifests(self.private_key, self.webhook_secret)
            self._emulator = starting.enter_context(Emulator(self._seed(), place.url))
            self._overlay.emulator_port = self._emulator.port
            self._payloads = Payloads(self._world)
            starting.callback(self._deliveries.close)
            self._stack = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # --- Where it is ---

    @property
    def api_url(self) -> str:
        """What API paths such as `/repos` are appended to."""
        return self._world.place.url

    @property
    def web_url(self) -> str:
        """What a browser and a git client open; a repository is cloned from `<web_url>/<full name>.git`."""
        return self._world.place.url

    @property
    def folder(self) -> Path:
        """Where the git repositories are."""
        return self._root

    @property
    def emulator_process(self) -> subprocess.Popen[str]:
        """The emulator's process."""
        if self._emulator.process is None:
            raise RuntimeError("the local GitHub is not running")
        return self._emulator.process

    @property
    def webhook_url(self) -> str:
        """Where webhooks are sent."""
        return self._deliveries.url

    @webhook_url.setter
    def webhook_url(self, url: str) -> None:
        self._deliveries.url = url

    @property
    def developer_permission(self) -> str:
        """What the developer may do with every repository: `admin`, `write`, `read` or `none`."""
        return self._world.developer_permission

    @developer_permission.setter
    def developer_permission(self, permission: str) -> None:
        self._world.developer_permission = permission

    @property
    def manifests(self) -> list[Json]:
        """The manifests of Apps that were posted, oldest first."""
        return self._overlay.manifests.posted

    # --- What a developer does ---

    def create_repository(self, full_name: str, from_folder: Path | None = None) -> LocalRepository:
        """Make a repository of the organization whose first commit on `main` is what the folder holds."""
        owner, _, name = full_name.partition("/")
        if owner != ORGANIZATION:
            raise ValueError(f"the App is installed on {ORGANIZATION} only, not on {owner}")
        number = int(self._call("POST", f"/orgs/{owner}/repos", {"name": name, "auto_init": True})["id"])
        return self._add_repository(full_name, number, from_folder)

    def push(
        self,
        repository: LocalRepository,
        branch: str,
        files: Mapping[str, str | bytes | None],
        message: str = "A change",
        *,
        deliver: bool = True,
    ) -> str:
        """Commit files (None removes one) on a branch, born from `main` if it is new; return the commit.

        GitHub sends `push`, and `synchronize` for each open pull request whose head it moves.
        """
        before = repository.git.find(f"refs/heads/{branch}") or NO_COMMIT
        after = repository.git.commit(branch, files, message, start="main")
        self._tell_push(repository, branch, before, after, sorted(files), deliver=deliver)
        return after

    def push_commit(self, repository: LocalRepository, branch: str, commit: str, *, deliver: bool = True) -> None:
        """Move a branch to a commit that is in the repository already: one that took its time to be made."""
        before = repository.git.resolve(f"refs/heads/{branch}")
        repository.git.move(branch, commit)
        files = [change.path for change in repository.git.changes(before, commit)]
        self._tell_push(repository, branch, before, commit, files, deliver=deliver)

    def delete_branch(self, repository: LocalRepository, branch: str, *, deliver: bool = True) -> None:
        """Delete a branch; GitHub sends `delete` and a `push` to nothing."""
        before = repository.git.resolve(f"refs/heads/{branch}")
        repository.git.delete(branch)
        self._deliveries.send("push", self._payloads.push(repository, branch, before, NO_COMMIT, []), deliver=deliver)
        self._deliveries.send("delete", self._payloads.delete(repository, branch), deliver=deliver)

    def open_pull_request(
        self,
        repository: LocalRepository,
        head: str,
        base: str = "main",
        title: str = "A change",
        *,
        draft: bool = False,
        fork: LocalRepository | None = None,
        deliver: bool = True,
    ) -> int:
        """Open a pull request from a branch of the repository, or of a fork of it, and return its number."""
        wish = {"title": title, "head": head, "base": base, "body": "", "draft": draft}
        number = int(self._call("POST", f"/repos/{repository.full_name}/pulls", wish)["number"])
        sha = (fork or repository).git.resolve(f"refs/heads/{head}")
        if fork:
            repository.git.fetch(fork.git, head, f"refs/pull/{number}/head")
        repository.git.set_ref(f"refs/pull/{number}/head", sha)
        base_sha = repository.git.resolve(f"refs/heads/{base}")
        repository.pulls[number] = LocalPull(number, head, sha, base, base_sha, fork)
        self._tell_pull(repository, number, "opened", deliver=deliver)
        return number

    def close(self, repository: LocalRepository, number: int, *, deliver: bool = True) -> None:
        """Close a pull request without merging it."""
        self._edit_pull(repository, number, {"state": "closed"})
        self._tell_pull(repository, number, "closed", deliver=deliver)

    def reopen(self, repository: LocalRepository, number: int, *, deliver: bool = True) -> None:
        """Open a closed pull request again; its head is where the branch is now."""
        self._edit_pull(repository, number, {"state": "open"})
        pull = repository.pulls[number]
        pull.head_sha = (pull.fork or repository).git.find(f"refs/heads/{pull.head_ref}") or pull.head_sha
        self._tell_pull(repository, number, "reopened", deliver=deliver)

    def merge(self, repository: LocalRepository, number: int, *, deliver: bool = True) -> str:
        """Merge a pull request with a merge commit, and return that."""
        pull = repository.pulls[number]
        before = repository.git.resolve(f"refs/heads/{pull.base_ref}")
        self._call("PUT", f"/repos/{repository.full_name}/pulls/{number}/merge", {})
        message = f"Merge pull request #{number} from {ORGANIZATION}/{pull.head_ref}"
        pull.merge_sha = repository.git.merge(pull.base_ref, pull.head_sha, message)
        payload = self._payloads.push(repository, pull.base_ref, before, pull.merge_sha, [])
        self._deliveries.send("push", payload, deliver=deliver)
        self._tell_pull(repository, number, "closed", deliver=deliver)
        return pull.merge_sha

    def test_merge(self, repository: LocalRepository, number: int) -> str:
        """Return the merge of a pull request and its base that its workflows run on (`refs/pull/<number>/merge`)."""
        pull = repository.pulls[number]
        commit = repository.git.merge_of(pull.base_ref, pull.head_sha, f"Merge {pull.head_sha} into {pull.base_ref}")
        repository.git.set_ref(f"refs/pull/{number}/merge", commit)
        return commit

    def label(self, repository: LocalRepository, number: int, name: str, *, deliver: bool = True) -> None:
        """Put a label on a pull request."""
        labels = self._call("POST", f"/repos/{repository.full_name}/issues/{number}/labels", {"labels": [name]})
        label = next(each for each in labels if each["name"] == name)
        self._tell_pull(repository, number, "labeled", {"label": label}, deliver=deliver)

    def set_draft(self, repository: LocalRepository, number: int, draft: bool, *, deliver: bool = True) -> None:
        """Make a pull request a draft, or ready for review."""
        self._edit_pull(repository, number, {"draft": draft})
        action = "converted_to_draft" if draft else "ready_for_review"
        self._tell_pull(repository, number, action, deliver=deliver)

    def rerequest(self, repository: LocalRepository, check_run_id: int, *, deliver: bool = True) -> None:
        """Press "Re-run" on a check run."""
        run = self._call("GET", f"/repos/{repository.full_name}/check-runs/{check_run_id}")
        self._deliveries.send("check_run", self._payloads.check_run(repository, run), deliver=deliver)

    def suspend_installation(self, suspended: bool = True, *, deliver: bool = True) -> None:
        """Suspend the App's installation, or let it go on."""
        self._world.suspended = suspended
        action = "suspend" if suspended else "unsuspend"
        self._deliveries.send("installation", self._payloads.installation(action), deliver=deliver)

    def remove_installation(self, *, deliver: bool = True) -> None:
        """Uninstall the App."""
        self._world.removed = True
        self._deliveries.send("installation", self._payloads.installation("deleted"), deliver=deliver)

    @contextmanager
    def installation(self, gone: str) -> Iterator[None]:
        """Have the installation `suspended` or `removed` for a while, without a webhook."""
        setattr(self._world, gone, True)
        try:
            yield
        finally:
            setattr(self._world, gone, False)

    def access_of(self, token: str) -> Access:
        """Return what a token may do."""
        access = self._world.access(token)
        if access is None:
            raise LookupError("no such token")
        return access

    def fork(self, repository: LocalRepository, owner: str) -> LocalRepository:
        """Make a copy of a repository that belongs to somebody else; the App is not installed there."""
        name = repository.full_name.partition("/")[2]
        path = self._root / owner / f"{name}.git"
        git = GitRepository.create(path, None, "main")
        for branch in repository.git.branches():
            git.fetch(repository.git, branch, f"refs/heads/{branch}")
        number = next(self._world.ids)
        shape = self._world.place.repository(
            f"{owner}/{name}", number, self._world.place.user(owner, number), fork=True, at=moment()
        )
        return LocalRepository(shape["full_name"], number, shape, git, Deployments(self._world.place, owner))

    # --- What a browser shows ---

    def pull(self, repository: LocalRepository, number: int) -> Json:
        """Return a pull request as the API has it."""
        return dict(self._call("GET", f"/repos/{repository.full_name}/pulls/{number}"))

    def comments(self, repository: LocalRepository, number: int) -> list[Json]:
        """Return the comments on a pull request, oldest first."""
        return list(self._call("GET", f"/repos/{repository.full_name}/issues/{number}/comments?per_page=100"))

    def comment(self, repository: LocalRepository, number: int, body: str) -> Json:
        """Write a comment as the developer."""
        return dict(self._call("POST", f"/repos/{repository.full_name}/issues/{number}/comments", {"body": body}))

    def delete_comment(self, repository: LocalRepository, comment_id: int) -> None:
        """Delete a comment."""
        self._call("DELETE", f"/repos/{repository.full_name}/issues/comments/{comment_id}")

    def check_runs(self, repository: LocalRepository, ref: str) -> list[Json]:
        """Return the check runs of a commit, newest first."""
        found = self._call("GET", f"/repos/{repository.full_name}/commits/{quote(ref, safe='')}/check-runs")
        return list(found["check_runs"])

    def check_run_states(self, repository: LocalRepository, check_run_id: int) -> list[str]:
        """Return the states that a check run was in, in their order; a completed one by its conclusion.

        GitHub keeps the last one only; here it can be told that a check run went through all of them.
        """
        return list(repository.check_run_states.get(check_run_id, ()))

    def annotations(self, repository: LocalRepository, check_run_id: int) -> list[Json]:
        """Return what a check run says about single lines."""
        return list(self._call("GET", f"/repos/{repository.full_name}/check-runs/{check_run_id}/annotations"))

    def deployments(self, repository: LocalRepository) -> list[Json]:
        """Return the deployments, newest first, each with its `state` and its `statuses` (newest first)."""
        deployments = repository.deployments
        return [
            {**each, "state": deployments.state(each["id"]), "statuses": deployments.statuses(each["id"])}
            for each in deployments.matching()
        ]

    def environments(self, repository: LocalRepository) -> list[str]:
        """Return the names of the environments."""
        return [each["name"] for each in repository.deployments.environments()]

    # --- Webhooks ---

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery, oldest first, those that were lost on the way included."""
        return self._deliveries.all

    def delivered(self, event: str) -> Json:
        """Return the payload of the newest delivery of an event."""
        return next(each.payload for each in reversed(self._deliveries.all) if each.event == event)

    def redeliver(self, delivery: Delivery) -> None:
        """Send a delivery again, with its GUID."""
        self._deliveries.redeliver(delivery)

    def wait_for_deliveries(self) -> None:
        """Return when everything that was sent so far was answered."""
        self._deliveries.wait()

    # --- Behind the scenes ---

    def _seed(self) -> Json:
        return {
            "tokens": {_DEVELOPER_TOKEN: {"login": DEVELOPER, "scopes": ["repo", "admin:org"]}},
            "github": {
                "users": [{"login": DEVELOPER, "name": "Mona"}],
                "orgs": [{"login": ORGANIZATION, "members": [{"login": DEVELOPER, "role": "admin"}]}],
                "apps": [
                    {
                        "app_id": self.app_id,
                        "slug": APP_SLUG,
                        "name": "Stagedoor",
                        "private_key": self.private_key,
                        "permissions": PERMISSIONS,
                        "events": EVENTS,
                        "installations": [
                            {
                                "installation_id": self.installation_id,
                                "account": ORGANIZATION,
                                "repository_selection": "all",
                            }
                        ],
                    }
                ],
            },
        }

    def _add_repository(self, full_name: str, number: int, folder: Path | None) -> LocalRepository:
        place = self._world.place
        git = GitRepository.create(self._root / f"{full_name}.git", folder, "main")
        shape = place.repository(full_name, number, self._world.owner, at=moment())
        repository = LocalRepository(full_name, number, shape, git, Deployments(place, full_name))
        self._world.repositories[full_name] = repository
        return repository

    def _tell_push(
        self, repository: LocalRepository, branch: str, before: str, after: str, files: list[str], *, deliver: bool
    ) -> None:
        push = self._payloads.push(repository, branch, before, after, files)
        self._deliveries.send("push", push, deliver=deliver)
        for pull in self._open_pulls(repository, branch):
            pull.head_sha = after
            pull.base_sha = repository.git.resolve(f"refs/heads/{pull.base_ref}")
            repository.git.set_ref(f"refs/pull/{pull.number}/head", after)
            self._tell_pull(repository, pull.number, "synchronize", {"before": before, "after": after}, deliver=deliver)

    def _open_pulls(self, repository: LocalRepository, branch: str) -> list[LocalPull]:
        ours = [pull for pull in repository.pulls.values() if pull.head_ref == branch and pull.fork is None]
        return [pull for pull in ours if self.pull(repository, pull.number)["state"] == "open"]

    def _edit_pull(self, repository: LocalRepository, number: int, change: Json) -> None:
        self._call("PATCH", f"/repos/{repository.full_name}/pulls/{number}", change)

    def _tell_pull(
        self, repository: LocalRepository, number: int, action: str, more: Json | None = None, *, deliver: bool
    ) -> None:
        pull = self.pull(repository, number)
        payload = self._payloads.pull_request(repository, pull, action, more or {})
        self._deliveries.send("pull_request", payload, deliver=deliver)

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._overlay.port, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {_DEVELOPER_TOKEN}", "Content-Type": "application/json"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {text.decode()}")
            return json.loads(text) if text else {}
        finally:
            connection.close()
