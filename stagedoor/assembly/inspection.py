"""Look at an assembly as what it is: files that a stranger's program wrote."""

from dataclasses import dataclass

from stagedoor.assembly.model import Assembly
from stagedoor.errors import UserError
from stagedoor.target import Target


class MissingContext(UserError):
    """The app asked for facts about the account that synth could not look up."""

    id = "missing-context"


class ForeignEnvironment(UserError):
    """A stack that wants to live in another account or region than the target's."""

    id = "foreign-environment"


class AssemblyTooLarge(UserError):
    """More stacks, files or bytes than the limits allow."""

    id = "assembly-too-large"


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """The most that an assembly may hold; bytes are those of files as they lie on disk."""

    stacks: int = 50
    files: int = 100_000
    file_bytes: int = 1024**3
    total_bytes: int = 4 * 1024**3


def inspect_assembly(assembly: Assembly, target: Target, limits: InspectionLimits = InspectionLimits()) -> None:
    """Raise a `UserError`, each kind with an id of its own, where the assembly holds what it must not."""
    if len(assembly.stacks) > limits.stacks:
        raise AssemblyTooLarge(f"The assembly holds more than {limits.stacks} stacks.", "Deploy fewer stacks at once.")
    for stack in assembly.stacks:
        if stack.account not in (target.account, "unknown-account") or stack.region not in (
            target.region,
            "unknown-region",
        ):
            raise ForeignEnvironment(
                f"The stack {stack.display_name} wants to live in {stack.account}/{stack.region}.",
                f"Leave `env` out, or take it from CDK_DEFAULT_ACCOUNT ({target.account}) and CDK_DEFAULT_REGION "
                f"({target.region}).",
            )
    if assembly.missing_context:
        keys = ", ".join(str(item.get("key")) for item in assembly.missing_context)
        raise MissingContext(f"The app asks for context that is not there: {keys}.", "Commit cdk.context.json.")
