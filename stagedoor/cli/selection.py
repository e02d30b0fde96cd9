"""Some of an app's stacks, by the names that the app gives them."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.plan import KnownStack
from stagedoor.errors import UserError


class UnknownStack(UserError):
    """No stack of the app is called so."""

    id = "unknown-stack"


def only_stacks(assembly: Assembly, patterns: Sequence[str]) -> frozenset[str]:
    """Return the ids of the stacks that the patterns name and of all that these depend on; of all without patterns.

    A pattern is a stack's own name, in which `*` and `?` stand for others. Raises `UnknownStack`.
    """
    if not patterns:
        return frozenset(stack.id for stack in assembly.stacks)
    chosen: set[str] = set()
    for pattern in patterns:
        found = {stack.id for stack in assembly.stacks if fnmatchcase(stack.own_name, pattern)}
        if not found:
            names = ", ".join(sorted(stack.own_name for stack in assembly.stacks))
            raise UnknownStack(f"No stack of the app is called {pattern!r}.", f"There are: {names}.")
        chosen |= found
    needed = {stack.id: stack.dependencies for stack in assembly.stacks}
    waiting = list(chosen)
    while waiting:
        more = set(needed.get(waiting.pop(), ())) - chosen
        chosen |= more
        waiting += more
    return frozenset(chosen)


def known_of(assembly: Assembly, known: Iterable[KnownStack]) -> list[KnownStack]:
    """Return those of a stage's stacks that the assembly has: what it leaves out is nobody's to take away."""
    names = {stack.name for stack in assembly.stacks}
    return [stack for stack in known if stack.name in names]
