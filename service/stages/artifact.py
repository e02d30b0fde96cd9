"""The assembly of a commit that the repository's own workflow made, and left as an artifact.

Which run counts is decided by what GitHub says of it, never by what is in the artifact: a run of this repository, for
the wanted commit, from the repository that the commit is wanted from. What is in there is a stranger's in any case.
"""

import json
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from service.github.errors import GitHubRefused, InstallationGone
from service.github.escape import redact
from service.github.workflows import ArtifactFile, ArtifactTooLarge, WorkflowRun
from stagedoor.assembly.inspection import AssemblyTooLarge, InspectionLimits
from stagedoor.assembly.packing import unpack
from stagedoor.errors import UserError
from stagedoor.naming import STAGE_NAME

NAME = "stagedoor-assembly"
LETTER = "stagedoor-artifact.json"
"""What the Action says of an artifact, beside the assembly: for whom it was made, and which files may be run. GitHub's
upload drops that right."""

LETTER_BYTES = 4 * 1024 * 1024  # the names of some 30,000 programs
SETTLED = timedelta(seconds=60)
"""How long a commit's workflows are given to appear and to show their artifacts, after a run of ours began to wait."""

PULL_EVENTS = frozenset({"pull_request", "push"})
BRANCH_EVENTS = frozenset({"push"})


class Waiting(Exception):
    """There is no assembly yet; `reason` is for people."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WorkflowFailed(UserError):
    """The workflow that was to leave the assembly failed."""

    id = "workflow-failed"


class WorkflowLeftNothing(UserError):
    """All workflows of the commit are done, and none left an assembly."""

    id = "workflow-without-assembly"


class WorkflowLate(UserError):
    """No workflow left an assembly in time."""

    id = "workflow-late"


class WorkflowsUnreadable(UserError):
    """The App was not given the right to read the repository's Actions."""

    id = "workflows-unreadable"


class MadeForOtherStage(UserError):
    """A workflow made the assembly for another stage than the one that it is to be deployed to."""

    id = "made-for-other-stage"


class LetterTooLong(UserError):
    """An artifact names more programs than are read."""

    id = "artifact-letter-too-long"


class ArtifactGone(UserError):
    """The artifact has expired or was deleted."""

    id = "artifact-gone"


BY_WORKFLOW = frozenset({error.id for error in (WorkflowFailed, WorkflowLeftNothing, WorkflowLate, ArtifactGone)})
"""Failures that the end of another workflow may cure."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is looked for. `head_repository` is GitHub's id of the repository that the commit is wanted from: a fork's
    for a fork's pull request. `branch`: only a push to this branch counts; None: a pull request's commit. `waited` is
    how long it has been looked for, `patience` how long that is done.
    """

    app: str
    stage: str
    commit: str
    head_repository: int
    branch: str | None
    waited: timedelta
    patience: timedelta

    @property
    def names(self) -> tuple[str, str]:
        """Return the names that the artifact may have, the app's own first."""
        return f"{NAME}-{self.app}", NAME


@dataclass(frozen=True, slots=True)
class Found:
    """An artifact that counts."""

    wanted: Artifact
    run: WorkflowRun
    file: ArtifactFile


class Workflows(Protocol):
    """What is asked of GitHub; see `service.github.workflows.RepositoryWorkflows`."""

    def of_commit(self, sha: str, branch: str | None) -> tuple[WorkflowRun, ...]:
        """Return the runs for a commit, the newest first; with a branch those of pushes to it alone."""

    def artifact(self, run_id: int, name: str) -> ArtifactFile | None:
        """Return the newest artifact of that name that a run left."""

    def download(self, artifact_id: int, file: Path, limit: int, check: Callable[[], None]) -> None:
        """Write an artifact's zip into a file."""


def counting(wanted: Artifact, runs: Sequence[WorkflowRun]) -> list[WorkflowRun]:
    """Return those of a commit's workflow runs that may leave its assembly.

    A pull request's workflow is read from the merge with its base, which may be any branch: for a branch's own stage
    only a push to that branch counts.
    """
    events = PULL_EVENTS if wanted.branch is None else BRANCH_EVENTS
    return [
        run
        for run in runs
        if run.event in events
        and run.head_sha == wanted.commit
        and run.head_repository == wanted.head_repository
        and wanted.branch in (None, run.head_branch)
    ]


def look_for(wanted: Artifact, workflows: Workflows) -> Found:
    """Return the newest artifact that counts.

    Raises `Waiting` while there may still be one, and a `UserError` when there will be none.
    """
    try:
        runs = counting(wanted, workflows.of_commit(wanted.commit, wanted.branch))
        for run in runs:
            # One that goes on counts, too: another of its jobs may wait for us. An artifact is listed when it is whole.
            if run.status == "completed" and run.conclusion != "success":
                continue
            for name in wanted.names:
                file = workflows.artifact(run.id, name)
                if file is not None:
                    return Found(wanted, run, file)
    except InstallationGone:
        raise WorkflowsUnreadable(
            "The GitHub App may not read this repository's Actions.",
            "Whoever owns the installation accepts the App's new permission (Actions: read).",
        ) from None
    raise _none_yet(wanted, runs)


def _none_yet(wanted: Artifact, runs: Sequence[WorkflowRun]) -> Exception:
    """Return what it means that there is no artifact."""
    going_on = [run for run in runs if run.status != "completed"]
    failed = [run for run in runs if run.status == "completed" and run.conclusion != "success"]
    commit = wanted.commit[:12]
    if wanted.waited >= wanted.patience:
        minutes = round(wanted.patience.total_seconds() / 60)
        where = f" {_named(going_on[0])} is not done." if going_on else ""
        return WorkflowLate(
            f"No workflow left an assembly of {commit} within {minutes} minutes.{where}",
            f"Run the workflow again; it uploads the artifact {wanted.names[0]!r} or {NAME!r}.",
        )
    if going_on:
        return Waiting(f"Waits for the workflow {_named(going_on[0])}.")
    if failed and wanted.waited >= SETTLED:
        return WorkflowFailed(
            f"The workflow {_named(failed[0])} ended with {redact(failed[0].conclusion)!r} and left no assembly.",
            "See its log, put it right and run it again; its end is noticed.",
        )
    if runs and wanted.waited >= SETTLED:
        return WorkflowLeftNothing(
            f"All workflows of {commit} are done, and none left an artifact {wanted.names[0]!r} or {NAME!r}.",
            "Use the Action with `synth: runner` in a workflow for pull requests, or take `synth` out of the "
            "configuration.",
        )
    return Waiting(f"Waits for a workflow that leaves the assembly of {commit}.")


def _named(run: WorkflowRun) -> str:
    return f"{redact(run.name)[:100]!r} ({run.url})"


def download(
    found: Found, workflows: Workflows, folder: Path, limits: InspectionLimits, check: Callable[[], None]
) -> Path:
    """Return the directory of a found assembly, in a folder that is made. Raises `UserError`s by name."""
    if found.file.expired:
        raise _gone(found)
    folder.mkdir(parents=True)
    archive, directory = folder / "artifact.zip", folder / "assembly"
    too_large = AssemblyTooLarge(
        f"The workflow's artifact has more than {limits.total_bytes:,} bytes.", "Exclude what is not needed."
    )
    if found.file.size > limits.total_bytes:
        raise too_large
    try:
        workflows.download(found.file.id, archive, limits.total_bytes, check)
    except ArtifactTooLarge:
        raise too_large from None
    except GitHubRefused:
        raise _gone(found) from None
    unpack(archive, directory, limits)
    archive.unlink()
    open_letter(directory, found.wanted.stage)
    return directory


def open_letter(directory: Path, stage: str) -> None:
    """Do what the Action's letter says, as far as a stranger may say it, and take it away. Raises `MadeForOtherStage`
    and `LetterTooLong`.
    """
    letter = directory / LETTER
    if letter.is_symlink() or not letter.is_file():
        return
    said = _read(letter)
    letter.unlink()
    made_for = said.get("stage")
    if isinstance(made_for, str) and STAGE_NAME.match(made_for) and made_for != stage:
        raise MadeForOtherStage(
            f"The workflow made the assembly for the stage {made_for!r}; it is wanted for {stage!r}.",
            "Leave the stage to the Action, which takes it from the pull request.",
        )
    programs = said.get("executables")
    named = {name for name in programs if isinstance(name, str)} if isinstance(programs, list) else set()
    for name in named:
        _make_program(directory, name)


def check_made_for(made_for: Set[str], stage: str) -> None:
    """Raise where an assembly's own constructs were told another stage than the one that it is deployed to."""
    others = made_for - {stage}
    if others:
        raise MadeForOtherStage(
            f"The workflow made the assembly for the stage {min(others)!r}; it is wanted for {stage!r}.",
            f"Have the app's program run with STAGEDOOR_STAGE={stage}, as the Action does.",
        )


def _read(letter: Path) -> dict[str, Any]:
    if letter.stat().st_size > LETTER_BYTES:
        raise LetterTooLong(
            f"What the workflow says of its artifact has more than {LETTER_BYTES:,} bytes: it names too many programs.",
            "Leave out of the assets what need not be run there, or take its right to be run away.",
        )
    try:
        said = json.loads(letter.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _make_program(directory: Path, name: str) -> None:
    """Give a plain file of the assembly the right to be run; anything else is passed over."""
    if not name.isprintable() or ".." in PurePosixPath(name).parts:
        return
    path = directory / name
    with suppress(OSError, RuntimeError):  # a name that is too long for any file; a link that leads to itself
        if path.is_file() and path.is_relative_to(directory) and path.resolve() == directory.resolve() / name:
            path.chmod(0o755)


def _gone(found: Found) -> ArtifactGone:
    return ArtifactGone(
        f"The artifact that the workflow {_named(found.run)} left is not there any more.", "Run the workflow again."
    )
