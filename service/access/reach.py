"""How far a workflow's run reaches: which stages of its repository, with which rights. Pure decisions.

A pull request's run reaches that pull request's preview, and may compare its commit with the stages that are open for
that; a branch's run reaches the stage of that branch, and a job that GitHub let into an environment reaches the stages
that are told under this environment.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from service.access.errors import Refused
from service.access.oidc import Job
from service.access.tokens import RunToken
from service.models import SourceKind, StageKind
from stagedoor.config.patterns import matches
from stagedoor.naming import stage_name_for_branch, stage_name_for_pull_request

ANY_PULL = "pr-*"
PREVIEW_ENVIRONMENT = "preview"
"""The environment of whatever names none (`service.stages.wishes`): to be let into it proves nothing."""

_PULL = re.compile(r"refs/pull/([1-9][0-9]{0,9})/merge\Z")
_BRANCH = "refs/heads/"
_TAG = "refs/tags/"


class Right(StrEnum):
    """What may be done with a repository's stages. PLAN, to have its code run and compared with a stage, comes with
    DEPLOY. ADMIN: its tokens and the record of who did what.
    """

    READ = "read"
    PLAN = "plan"
    DEPLOY = "deploy"
    REMOVE = "remove"
    ADMIN = "admin"


_OF_COMMANDS = {
    "deploy": frozenset({Right.READ, Right.DEPLOY}),
    "diff": frozenset({Right.READ, Right.PLAN}),
    "remove": frozenset({Right.READ, Right.REMOVE}),
}
_READING = frozenset({Right.READ})


@dataclass(frozen=True, slots=True)
class Reach:
    """Stages by a pattern ("": none) and by an environment ("": none), and what may be done with them."""

    stage: str
    environment: str
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class StageFacts:
    """A stage of the name that is asked for: what it is, what it was born from, and whether workflows of pull requests
    may compare their commits with it.
    """

    kind: StageKind
    environment: str
    source: SourceKind | None = None
    ref: str = ""
    compared: bool = False


def pull_number(ref: str) -> int | None:
    """Return the number of the pull request whose merge commit a ref is."""
    found = _PULL.match(ref)
    return int(found[1]) if found else None


def reach_of(job: Job, command: str, *, from_fork: bool) -> Reach:
    """Return how far a job reaches that wants to do `command`. Raises `Refused` for one that reaches nothing.

    `from_fork`: the head of the job's pull request is in another repository; nobody who may write wrote that code.
    """
    if job.event == "pull_request_target":
        # It runs with the base's rights, and often with the head's code: https://securitylab.github.com/resources/github-actions-preventing-pwn-requests/
        raise Refused("pull_request_target")
    rights = _OF_COMMANDS.get(command, _READING)
    number = pull_number(job.ref)
    if number is not None:
        writes = job.event == "pull_request" and not from_fork
        return Reach(stage_name_for_pull_request(number), "", rights if writes else _READING)
    if job.event.startswith("pull_request"):
        # A merged one's ref is its base: nothing in the token says any more which pull request it was.
        return Reach(ANY_PULL, "", _READING)
    environment = "" if job.environment.casefold() == PREVIEW_ENVIRONMENT else job.environment
    if job.ref.startswith(_BRANCH):
        return Reach(stage_name_for_branch(job.ref.removeprefix(_BRANCH)), environment, rights)
    if job.ref.startswith(_TAG) and environment:
        return Reach("", environment, rights)
    raise Refused("ref of no stage", ref=job.ref)


def run_refused(run: RunToken, stage: str | None, facts: Iterable[StageFacts], right: Right, commit: str | None) -> str:
    """Return why a run has not this right to a stage of its own repository, or "" if it has.

    `stage` None is the repository as a whole. `facts` are the stages of that name, one for each app; with none of them
    the name alone decides. `commit`: what is to be deployed or planned; a branch's run has its own commit only.
    """
    if not _gives(run.rights, right):
        return "right not given"
    of_pull = pull_number(run.ref) is not None
    if commit is not None and right in (Right.DEPLOY, Right.PLAN) and not of_pull and commit != run.sha:
        return "another commit than the run's"
    if stage is None:
        return ""
    known = tuple(facts)
    if run.stage and matches(run.stage, stage):
        return "" if all(_is_born_from(run, one) for one in known) else "stage of another ref"
    is_open = right is Right.PLAN and of_pull and all(one.compared for one in known)
    is_told = bool(run.environment) and all(_is_told_under(run.environment, one) for one in known)
    return "" if known and (is_open or is_told) else "stage out of reach"


def machine_refused(pattern: str, rights: str, stage: str | None, facts: Iterable[StageFacts], right: Right) -> str:
    """Return why a machine's token has not this right to a stage of its own repository, or "" if it has."""
    if right is Right.ADMIN or not _gives(rights, right):
        return "right not given"
    if stage is None:
        return ""
    if not matches(pattern, stage):
        return "stage out of reach"
    return "a developer's own stage" if any(one.kind is StageKind.PERSONAL for one in facts) else ""


def _gives(rights: str, right: Right) -> bool:
    """Tell whether rights, parted by spaces, hold one."""
    given = rights.split()
    return right in given or (right is Right.PLAN and Right.DEPLOY in given)


def _is_born_from(run: RunToken, stage: StageFacts) -> bool:
    if run.stage == ANY_PULL:
        return stage.kind is StageKind.PREVIEW
    number = pull_number(run.ref)
    if number is not None:
        kind, source, ref = StageKind.PREVIEW, SourceKind.PULL, str(number)
    else:
        kind, source, ref = StageKind.NAMED, SourceKind.BRANCH, run.ref.removeprefix(_BRANCH)
    return stage.kind is kind and (stage.source is None or (stage.source, stage.ref) == (source, ref))


def _is_told_under(environment: str, stage: StageFacts) -> bool:
    """Tell whether a lasting stage is told under an environment. As on GitHub, case does not matter in their names; it
    is that of ASCII's letters alone, as there are others that fold to these, and that GitHub need not take for them.
    """
    ours = stage.environment
    is_same = ours == environment or (ours.isascii() and environment.isascii() and ours.lower() == environment.lower())
    return stage.kind is StageKind.NAMED and is_same
