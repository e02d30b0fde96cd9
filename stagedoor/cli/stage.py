"""A stage that has no service: who owns it, whether it is to last, and what of it is in the account already."""

from collections.abc import Iterable

from stagedoor.cli.app_folder import AppFolder
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.stacks import ActualStack, check_ours, is_ours, is_unclaimed_review
from stagedoor.naming import StageIdentity, check_stage_name, stack_prefix
from stagedoor.target import Trust

LASTING = frozenset({"prod", "production", "staging", "main", "master"})
"""First words of the names of stages that are to last; `prod-eu` is one, `dev` and `products` are not."""

OWNER = "local"
"""What stands in the tags in place of a deployment service's id."""


def is_lasting(stage: str) -> bool:
    """Whether a stage keeps the data that its app says to keep, and is removed only by whoever types its name."""
    return stage.split("-", 1)[0] in LASTING


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
