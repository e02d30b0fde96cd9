"""`--parameter`: values for the parameters of the app's templates, given to a command."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from stagedoor.assembly.documents import read_document
from stagedoor.assembly.model import Assembly, Stack
from stagedoor.assembly.template import section
from stagedoor.errors import UserError


class UnknownParameter(UserError):
    """A value for a parameter that no template of the app declares, or one that is not written as one."""

    id = "unknown-parameter"


@dataclass(frozen=True, slots=True)
class _Given:
    """`[STACK:]NAME=VALUE`: `stack` is the app's own name for the stack, None for each that declares the parameter."""

    stack: str | None
    name: str
    value: str


def with_parameters(assembly: Assembly, given: Iterable[str]) -> Assembly:
    """Return the app's assembly with values for parameters, each written as `[STACK:]NAME=VALUE`.

    Raises `UnknownParameter` where no stack declares the parameter.
    """
    declared = {stack.id: frozenset(section(_template(assembly, stack), "Parameters")) for stack in assembly.stacks}
    values: dict[str, dict[str, str]] = {stack.id: {} for stack in assembly.stacks}
    for one in map(_parsed, given):
        stacks = [stack for stack in assembly.stacks if _is_meant(one, stack, declared)]
        if not stacks:
            where = f"The stack {one.stack!r}" if one.stack else "No stack of the app"
            raise UnknownParameter(
                f"{where} declares no parameter {one.name!r}.", "See the app's `CfnParameter`s for their names."
            )
        for stack in stacks:
            values[stack.id][one.name] = one.value
    stacks = [replace(stack, parameters={**stack.parameters, **values[stack.id]}) for stack in assembly.stacks]
    return replace(assembly, stacks=tuple(stacks))


def _parsed(text: str) -> _Given:
    place, equals, value = text.partition("=")
    stack, colon, name = place.rpartition(":")
    if not (equals and name and (stack or not colon)):
        raise UnknownParameter(f"{text!r} gives no parameter a value.", "Write NAME=VALUE, or STACK:NAME=VALUE.")
    return _Given(stack or None, name, value)


def _is_meant(given: _Given, stack: Stack, declared: Mapping[str, frozenset[str]]) -> bool:
    return given.stack in (None, stack.own_name) and given.name in declared[stack.id]


def _template(assembly: Assembly, stack: Stack) -> dict[str, object]:
    path = stack.template_path.relative_to(assembly.directory).as_posix()
    return read_document(assembly.directory, assembly.directory, path)
