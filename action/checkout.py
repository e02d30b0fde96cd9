"""What actions/checkout left: which commit, whose repository, and whether the job's token is still in there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from action.refusal import Refused
from action.runner import Runner

_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


def warn_of_other_commit(root: Path, commit: str, runner: Runner) -> None:
    """Warn where another commit is checked out than the stage is said to have: the merge, or the default branch."""
    found = commit_at(root)
    if found and found != commit:
        runner.warning(
            Refused(
                "other-commit",
                f"The stage is said to be at {commit[:7]}, and what is checked out is {found[:7]}.",
                "Give actions/checkout the `ref` that is meant: `github.event.pull_request.head.sha`, or after another "
                "workflow `github.event.workflow_run.head_sha`.",
            )
        )


def commit_at(root: Path) -> str:
    """Return the commit that is checked out, empty where the files of `.git` do not say so plainly."""
    head = _text(root / ".git" / "HEAD")
    if head.startswith("ref: refs/") and ".." not in head:
        head = _text(root / ".git" / head[len("ref: ") :])
    return head if _COMMIT.match(head) else ""


def warn_of_kept_token(root: Path, runner: Runner) -> None:
    """Warn where actions/checkout left the job's token for later steps."""
    config = _text(root / ".git" / "config")
    if "extraheader" in config.lower() or "git-credentials-" in config:
        runner.warning(
            Refused(
                "checkout-kept-token",
                "The checkout's git configuration holds the job's token, which the app's program can read.",
                "Give actions/checkout `persist-credentials: false`.",
            )
        )


def trusting(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git reads the checkout whoever owns it: in a container, that is not who we are.

    Source: `safe.directory` in https://git-scm.com/docs/git-config.
    """
    count = int(env.get("GIT_CONFIG_COUNT") or 0)
    more = {f"GIT_CONFIG_KEY_{count}": "safe.directory", f"GIT_CONFIG_VALUE_{count}": str(root)}
    return {**env, **more, "GIT_CONFIG_COUNT": str(count + 1)}


def check_remote(root: Path, env: Mapping[str, str]) -> None:
    """Raise `Refused` where git knows no remote: the engine would take the folder's name for the repository's."""
    try:
        done = subprocess.run(["git", "remote"], cwd=root, env=dict(env), capture_output=True, check=False)
        known = done.returncode == 0 and bool(done.stdout.strip())
    except OSError:
        known = False
    if not known:
        raise Refused(
            "no-git-checkout",
            f"git finds no repository with a remote in {root.name}, and so nothing says whose the stage is.",
            "Let actions/checkout come before this step; in a container, an image with git before that.",
        )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
