"""The stages of an app that are in an account, for commands that only look: whoever deployed them.

A stack's tags say whose it is. A stage that a service deployed bears the app's name and the service's id; one that the
command line deployed bears `local` and the repository.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.stage import OWNER
from stagedoor.cli.work import Work
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import ActualStack, read_all_stacks
from stagedoor.errors import UserError
from stagedoor.naming import is_lasting
from stagedoor.target import Target, Trust

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_PULL_REQUEST = re.compile(r"pr-\d+")


class StageNotThere(UserError):
    """No stack in the account and region is the stage's."""

    id = "stage-not-there"


@dataclass(frozen=True, slots=True)
class DeployedStage:
    """A stage as the account has it. `owner` is `local`, or the id of the service that deployed it."""

    name: str
    owner: str
    repository: str
    stacks: tuple[ActualStack, ...]

    @property
    def kind(self) -> str:
        """What it is for: `preview` of a pull request, `lasting`, `personal`, or `shared`: any other."""
        if _PULL_REQUEST.fullmatch(self.name):
            return "preview"
        if is_lasting(self.name):
            return "lasting"
        return "personal" if self.owner == OWNER and self.name.startswith("dev-") else "shared"

    @property
    def changed(self) -> datetime | None:
        """When a stack of it was made or last updated."""
        return max((stack.changed for stack in self.stacks if stack.changed), default=None)

    @property
    def outputs(self) -> dict[str, dict[str, str]]:
        """Its outputs that are for people, by the app's own names for the stacks; stacks without any are left out."""
        return {self.own_name(stack): stack.shown_outputs for stack in self.stacks if stack.shown_outputs}

    def own_name(self, stack: ActualStack) -> str:
        """Return what the app calls a stack: its name without `<app>-<stage>-<digest>-` (`naming.stack_prefix`)."""
        match = re.match(rf".+?-{re.escape(self.name)}-[0-9a-f]{{6}}-(.+)", stack.name)
        return match[1] if match else stack.name


@dataclass(frozen=True, slots=True)
class Looking:
    """A stage that a command looks at, and the way to its account."""

    stage: DeployedStage
    target: Target
    clients: Clients


def way_in(work: Work, app: AppFolder) -> tuple[Target, Clients]:
    """Return the caller's account, and the way into it; nothing is changed there."""
    target = work.target(app.path, app.repository.root, Trust.PREVIEW)
    return target, work.clients(target)


def look_at(work: Work, app: AppFolder, stage: str) -> Looking:
    """Return a stage of the app as the account has it. Raises `StageNotThere`.

    Where both the command line and a service have one of that name, the command line's is meant.
    """
    target, clients = way_in(work, app)
    found = [one for one in deployed_stages(read_all_stacks(clients), app) if one.name == stage]
    if not found:
        raise StageNotThere(
            f"The stage {stage} of {app.name} is not in account {target.account}, {target.region}.",
            f"`stagedoor stages` lists those that are; `stagedoor deploy --stage {stage}` makes this one.",
        )
    return Looking(max(found, key=lambda one: (one.owner == OWNER, one.changed or _LONG_AGO)), target, clients)


def deployed_stages(stacks: Iterable[ActualStack], app: AppFolder) -> list[DeployedStage]:
    """Return the app's stages by name."""
    groups: dict[tuple[str, str, str], list[ActualStack]] = {}
    for stack in stacks:
        stage, owner = stack.tags.get("stagedoor:stage"), stack.tags.get("stagedoor:service", OWNER)
        repository = stack.tags.get("stagedoor:repository", "")
        # A service knows the repository by its id at GitHub, which this machine does not.
        ours = owner != OWNER or repository == app.repository.id
        if stage and ours and stack.tags.get("stagedoor:app") == app.name:
            groups.setdefault((stage, owner, repository), []).append(stack)
    return [
        DeployedStage(*key, tuple(sorted(group, key=lambda stack: stack.name))) for key, group in sorted(groups.items())
    ]
