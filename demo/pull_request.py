"""A pull request as its author sees it on GitHub: the one comment, the check run, the deployment, the preview's URL."""

import re
from dataclasses import dataclass
from typing import Any

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from demo.waiting import NotYet, StepFailed

LIVE, FAILED, REMOVED = "✅ Live", "❌ Failed", "🗑️ Removed"
_ROW = re.compile(
    r"^\| <code>(?P<stage>[^<]+)</code> \| (?P<state>[^|]+) \| (?P<url>[^|]+) \| (?P<rest>.+) \|$", re.MULTILINE
)
_LINK = re.compile(r"\]\(<?(?P<url>[^)>]+)>?\)")


@dataclass(frozen=True, slots=True)
class Comment:
    """The service's comment: GitHub's id of it, its text, and what its table says of the stage."""

    number: int
    body: str
    stage: str
    state: str
    url: str
    commit: str
    took: str
    run_url: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """One pull request of the local GitHub, read through its API."""

    github: LocalGitHub
    repository: LocalRepository
    number: int

    def comment(self) -> Comment:
        """Return the service's comment. Raises `NotYet` when there is none, `StepFailed` when there are two."""
        ours = [each for each in self.github.comments(self.repository, self.number) if _is_ours(each)]
        if not ours:
            raise NotYet("no comment")
        if len(ours) > 1:
            raise StepFailed("one comment on the pull request", f"{len(ours)} of them")
        return _read(ours[0])

    def comment_in(self, state: str, commit: str) -> Comment:
        """Return the comment when it says that the stage is in this state on this commit; else raise `NotYet`.

        Raises `StepFailed` when it says that the commit failed and that was not what is waited for.
        """
        comment = self.comment()
        of_commit = comment.commit == commit[:7]
        if of_commit and comment.state == FAILED != state:
            raise StepFailed(f"the state {state!r} of {commit[:7]}", comment.body)
        if comment.state != state or not of_commit:
            raise NotYet(f"the comment says {comment.state!r} of {comment.commit!r}")
        return comment

    def check(self, commit: str) -> dict[str, Any]:
        """Return the commit's one check run when it is completed; else raise `NotYet`."""
        checks = self.github.check_runs(self.repository, commit)
        if len(checks) != 1 or checks[0]["status"] != "completed":
            raise NotYet(f"check runs of {commit[:7]}: {[each['status'] for each in checks]}")
        return checks[0]

    def check_states(self, check: dict[str, Any]) -> list[str]:
        """Return the states that a check run went through."""
        return self.github.check_run_states(self.repository, check["id"])

    def deployment(self, commit: str, state: str) -> dict[str, Any]:
        """Return the commit's newest deployment when it is in this state; else raise `NotYet`."""
        found = next((each for each in self.github.deployments(self.repository) if each["sha"] == commit), None)
        if found is None or found["state"] != state:
            raise NotYet(f"the deployment of {commit[:7]} is {found['state'] if found else 'not there'}")
        return found

    def active_deployments(self) -> list[str]:
        """Return the commits whose deployments are not over."""
        over = {"inactive", "failure", "error"}
        return [each["sha"] for each in self.github.deployments(self.repository) if each["state"] not in over]


def _is_ours(comment: dict[str, Any]) -> bool:
    return str(comment["body"]).startswith("<!-- stagedoor:")


def _read(comment: dict[str, Any]) -> Comment:
    row = _ROW.search(comment["body"])
    if row is None:
        raise NotYet(f"the comment has no table: {comment['body']!r}")
    commit, took, run = (cell.strip() for cell in row["rest"].split(" | "))
    label = re.match(r"\[(\w+)\]", commit)
    return Comment(
        number=comment["id"],
        body=comment["body"],
        stage=row["stage"],
        state=row["state"].strip(),
        url=_target(row["url"]),
        commit=label[1] if label else commit,
        took=took,
        run_url=_target(run),
    )


def _target(cell: str) -> str:
    found = _LINK.search(cell)
    return found["url"] if found else ""
