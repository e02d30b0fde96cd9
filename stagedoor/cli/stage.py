"""A stage that has no service: who owns it, whether it is to last, and what of it is in the account already."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.work import Work
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.stacks import (
    UNUSABLE,
    ActualStack,
    check_ours,
    has_owner,
    is_ours,
    is_unclaimed_review,
    read_all_stacks,
)
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity, check_stage_name, is_lasting, stack_prefix
from stagedoor.target import Target, Trust

OWNER = "local"
"""What stands in the tags in place of a deployment service's id."""

_MOMENT_SECONDS = 1.0
"""A deploy that finds its synth done already plans on what it has read of the stacks; after a synth it reads anew."""


class CannotAdopt(UserError):
    """There is nothing to take over, or what is there cannot be."""

    id = "cannot-adopt"


@dataclass(frozen=True, slots=True)
class FoundStage:
    """A stage, the way to it, and what of it is in the account. `stacks` are all of the account's and region's, as they
    were at `read_at` of the monotonic clock.
    """

    identity: StageIdentity
    target: Target
    clients: Clients
    stacks: Sequence[ActualStack]
    known: Sequence[KnownStack]
    read_at: float

    def just_seen(self) -> dict[str, ActualStack] | None:
        """Return the stacks by name where they were read a moment ago; what is older is read again."""
        if time.monotonic() - self.read_at > _MOMENT_SECONDS:
            return None
        return {stack.name: stack for stack in self.stacks}


def find_stage(work: Work, app: AppFolder, stage: str, *, adopt: bool = False) -> FoundStage:
    """Return a stage of the app as it is in the caller's account.

    A stage that was adopted is known by its stacks: they bear its tags, and not its prefix. It is to last, whatever it
    is called, since it holds what others made. Raises `InvalidStageName`, `StackNotOurs`, `CannotAdopt`.
    """
    identity = stage_identity(app, stage)
    target = work.target(app.path, app.repository.root, trust_of(identity))
    clients = work.clients(target)
    read_at = time.monotonic()
    stacks = tuple(read_all_stacks(clients))
    known = known_stacks(stacks, identity)
    own = [stack.name for stack in known if stack.name.startswith(f"{identity.prefix}-")]
    if adopt and own:
        raise CannotAdopt(
            f"The stage {stage} has stacks of its own already: {', '.join(own)}.",
            "Remove the stage first, or adopt the app's stacks as another stage.",
        )
    if adopt or len(own) < len(known):
        identity = replace(identity, prefix="", disposable=False)
        target = replace(target, trust=trust_of(identity))
        clients = work.clients(target)
    return FoundStage(identity, target, clients, stacks, known, read_at)


def adopting(found: FoundStage, own_names: Collection[str]) -> StageIdentity:
    """Return the stage's identity, told to take over those of the app's stacks that nobody owns.

    `own_names` are what the app calls its stacks. Raises `StackNotOurs` where one belongs to another stage, and
    `CannotAdopt` where there is none, or one that could only be deleted.
    """
    there = [stack for stack in found.stacks if stack.name in own_names]
    if not there:
        raise CannotAdopt(
            f"None of the app's stacks ({', '.join(sorted(own_names))}) is in account {found.target.account}, "
            f"{found.target.region}.",
            "Leave --adopt out, and the stage gets stacks of its own. Else see that account and region are right.",
        )
    identity = replace(found.identity, adopting=frozenset(stack.arn for stack in there))
    for stack in there:
        check_ours(stack, identity)
        if stack.status in UNUSABLE and not is_ours(stack, identity):
            raise CannotAdopt(
                f"The stack {stack.name} is {stack.status}, from which CloudFormation offers only deletion.",
                "Delete it yourself, if nothing in it is needed, and adopt the others.",
            )
    return identity


def ownerless(found: FoundStage, own_names: Collection[str]) -> list[str]:
    """Return the names of stacks that a new stage may have been meant to be: the app's, under the names that the app
    gives them, deployed by nobody that we know.
    """
    if found.identity.adopted or found.known:
        return []
    return [stack.name for stack in found.stacks if stack.name in own_names and not has_owner(stack)]


def trust_of(identity: StageIdentity) -> Trust:
    """Return the side of the line on which a stage's caches and assets are."""
    return Trust.PREVIEW if identity.disposable else Trust.PRODUCTION


def stage_identity(app: AppFolder, stage: str) -> StageIdentity:
    """Return what a stage of the app is when no service deploys it. Raises `InvalidStageName`."""
    repository = app.repository.id
    return StageIdentity(
        app=app.name,
        stage=check_stage_name(stage),
        prefix=stack_prefix(app.name, stage, repository),
        repository=repository,
        service=OWNER,
        disposable=not is_lasting(stage),
    )


def known_stacks(stacks: Iterable[ActualStack], identity: StageIdentity) -> list[KnownStack]:
    """Return those of an account's stacks that are the stage's.

    Raises `StackNotOurs` where a service has a stage of this app and name: its stacks' names differ from ours, so
    nothing would collide, and there would be two of what everybody calls by one name.
    """
    known = []
    for stack in stacks:
        if _is_of_the_stage(stack, identity):
            known.append(KnownStack(stack.name, stack.arn, 0))
        elif _is_of_a_service(stack, identity):
            check_ours(stack, identity)
    return known


def busy_stacks(stacks: Iterable[ActualStack], identity: StageIdentity) -> list[ActualStack]:
    """Return those of an account's stacks that are the stage's and that CloudFormation is working on."""
    return [stack for stack in stacks if stack.busy and _is_of_the_stage(stack, identity)]


def _is_of_the_stage(stack: ActualStack, identity: StageIdentity) -> bool:
    shell = is_unclaimed_review(stack) and stack.name.startswith(f"{identity.prefix}-")
    return shell or is_ours(stack, identity)


def _is_of_a_service(stack: ActualStack, identity: StageIdentity) -> bool:
    same = {"stagedoor:app": identity.app, "stagedoor:stage": identity.stage}
    owner = stack.tags.get("stagedoor:service", OWNER)
    return owner != OWNER and all(stack.tags.get(key) == value for key, value in same.items())
