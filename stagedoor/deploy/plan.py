"""What a deploy would do to each stack, as data. Nothing here changes anything.

`decision.py` has the decision about one stack; `plan_deploy` reads what it needs, and what changes in each stack.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stagedoor.assembly.model import Assembly, Template
from stagedoor.assembly.template import construct_paths_of
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.differences import StackDifference, difference
from stagedoor.deploy.comparison.resolution import Comparison, resolve, values_of
from stagedoor.deploy.decision import Action, Decision, decide
from stagedoor.deploy.stacks import (
    GONE,
    GOOD,
    ActualStack,
    check_ours,
    is_ours,
    read_stack,
    read_template,
    waiting_change_sets,
)
from stagedoor.deploy.wanted import (
    Wanted,
    check_region,
    parameter_changes,
    wanted_stacks,
    worked_out,
)
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from stagedoor.deploy.comparison.permissions import PermissionChange
    from stagedoor.deploy.swapping.hotswap import Swap
    from stagedoor.deploy.swapping.swap import Hotswaps

_ROLLED_BACK = frozenset({"UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"})
"""Statuses in which a stack has the template from before its last update."""

_READERS = 8
_TOLD = 50
"""Refusals that one error names besides the first."""


@dataclass(frozen=True, slots=True)
class KnownStack:
    """A stack that a stage has or had. `ordinal` is its depth: stacks of one ordinal do not depend on each other, and a
    stack depends only on lower ones. `arn` is None where it was never learned.
    """

    name: str
    arn: str | None
    ordinal: int


@dataclass(frozen=True, slots=True)
class StackPlan:
    """The decision about one stack, and what changes in it where it is not unchanged.

    `stack_id` is its id in the assembly, None for one that the app no longer has. `swap` is what is hotswapped.
    `nested` are the nested stacks that change with it, to any depth.
    """

    name: str
    stack_id: str | None
    action: Action
    reason: str
    actual: ActualStack | None = None
    difference: StackDifference = field(default_factory=StackDifference)
    permissions: "tuple[PermissionChange, ...]" = ()
    comparison: Comparison | None = field(default=None, repr=False)
    swap: "Swap | None" = field(default=None, repr=False)
    nested: tuple[Comparison, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deploy would do, stack by stack, in the order of their dependencies; deletions come last."""

    wanted: tuple[Wanted, ...] = ()
    stacks: tuple[StackPlan, ...] = ()
    surplus: tuple[KnownStack, ...] = field(default=())
    refusals: tuple[UserError, ...] = ()

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to do."""
        return all(stack.action in (Action.UNCHANGED, Action.KEEP) for stack in self.stacks)

    def check(self) -> None:
        """Raise the first of what CloudFormation would refuse, the others as its detail. Asked before any change."""
        if self.refusals:
            first, *others = self.refusals
            detail = "\n".join(f"{other.what} {other.remedy}" for other in others[:_TOLD])
            raise type(first)(first.what, first.remedy, detail=detail)


def plan_deploy(
    assembly: Assembly,
    identity: StageIdentity,
    clients: Clients,
    known: Sequence[KnownStack],
    hotswaps: "Hotswaps | None" = None,
    seen: Mapping[str, ActualStack] | None = None,
) -> Plan:
    """Compare an assembly, whose assets have their addresses, with what the account says of the stage.

    `known` are the stacks that the stage had; those that the app no longer has are deleted where the stage is
    disposable. `hotswaps` are read here; without any, nothing is known of them and none is done. `seen` are all stacks
    of the account by name, read a moment ago; where it is None they are read here. What CloudFormation would refuse is
    in the plan. Raises `StackNotOurs` when a stack's name is taken.
    """
    for stack in assembly.stacks:
        check_region(stack, clients.target)
    wanted = wanted_stacks(assembly, identity)
    with ThreadPoolExecutor(_READERS, thread_name_prefix="plan") as readers:
        hotswapped = readers.submit(hotswaps.read) if hotswaps else None
        planned = list(readers.map(lambda one: _plan_stack(one, identity, clients, hotswapped, seen), wanted))
        names = {one.name for one in wanted}
        surplus = tuple(stack for stack in known if stack.name not in names)
        dropped = [gone for stack in surplus if (gone := _plan_surplus(stack, identity, clients))]
        plan = Plan(tuple(wanted), (*planned, *dropped), surplus)
        return replace(plan, refusals=tuple(_refusals(plan, identity, clients, readers)))


def _refusals(plan: Plan, identity: StageIdentity, clients: Clients, readers: Executor) -> Iterator[UserError]:
    """Yield what CloudFormation would refuse of the stacks that it is to change."""
    changed = [stack for stack in plan.stacks if stack.comparison and stack.action is not Action.HOTSWAP]
    if not changed:
        return
    # Only here: a deploy that finds nothing to do does not wait for what compares and refuses to load.
    from stagedoor.deploy.comparison.refusals import printable

    for one in _all_refusals(plan, changed, identity, clients, readers):
        yield type(one)(printable(one.what), printable(one.remedy))


def _all_refusals(
    plan: Plan, changed: Sequence[StackPlan], identity: StageIdentity, clients: Clients, readers: Executor
) -> Iterator[UserError]:
    from stagedoor.deploy.comparison.account_checks import StageStacks, account_refusals
    from stagedoor.deploy.comparison.refusals import export_refusals, exports, template_refusals

    changing = [(stack.comparison, stack.difference) for stack in changed if stack.comparison]
    nested = [one for stack in changed for one in stack.nested]
    changing += [(one, difference(one.before, one.after, one.paths)) for one in nested]
    for comparison, _ in changing:
        yield from template_refusals(comparison)
    yield from export_refusals([comparison for comparison, _ in changing])
    joined = {stack.name for stack in plan.stacks if stack.action is Action.JOIN}
    others = [
        *(name for one in plan.stacks if one.actual and not one.comparison for name in one.actual.exports),
        *(name for one in plan.wanted if one.name in joined for name in exports(worked_out(one, None, clients.target))),
    ]
    names = {*(stack.name for stack in plan.stacks), *(one.stack.name for one in nested)}
    stage = StageStacks(changing, frozenset(others), frozenset(names), identity.disposable)
    yield from account_refusals(stage, clients, readers)


def _plan_stack(
    wanted: Wanted,
    identity: StageIdentity,
    clients: Clients,
    hotswapped: "Future[Hotswaps] | None",
    seen: Mapping[str, ActualStack] | None,
) -> StackPlan:
    actual = read_stack(clients, wanted.name) if seen is None else seen.get(wanted.name)
    template = None
    if actual is not None:
        check_ours(actual, identity)
        template = read_template(clients, actual.arn) if actual.status in GOOD | _ROLLED_BACK else None
    decision, swap = decide(wanted, actual, template), None
    if hotswapped:
        decision, swap = hotswapped.result().decide(decision, wanted, actual, template)
    if decision.action is Action.UNCHANGED and actual and waiting_change_sets(clients, actual.name):
        # A frozen predecessor could still execute it. Nothing else changes; but the deploy takes it away.
        decision = Decision(Action.UPDATE, "a change set of an earlier deploy is left")
    planned = StackPlan(wanted.name, wanted.stack.id, decision.action, decision.reason, actual, swap=swap)
    if decision.action in (Action.UNCHANGED, Action.JOIN):
        return planned
    if template is None and decision.action not in (Action.CREATE, Action.RECREATE):
        return replace(planned, reason=f"{decision.reason}; what it was given is not JSON and cannot be compared")
    return _compared(planned, wanted, dict(template or {}), clients)


def _compared(planned: StackPlan, wanted: Wanted, old: Template, clients: Clients) -> StackPlan:
    """Return the plan of a stack with what changes in it; `old` is empty where everything is new."""
    from stagedoor.deploy.comparison.nested import nested_comparisons
    from stagedoor.deploy.comparison.permissions import permission_changes

    target = clients.target
    actual = None if planned.action in (Action.CREATE, Action.RECREATE) else planned.actual
    after = worked_out(wanted, actual, target)
    before = resolve(old, values_of(old, actual.parameters if actual else {}, wanted.name, target))
    paths = {**construct_paths_of(old), **construct_paths_of(wanted.template), **wanted.stack.construct_paths}
    parameters = tuple(parameter_changes(wanted, actual, old))
    comparison = Comparison(wanted.stack, wanted.template, actual, before, after, paths)
    swapped = planned.action is Action.HOTSWAP
    return replace(
        planned,
        difference=replace(difference(before, after, paths), parameters=parameters),
        permissions=permission_changes(before, after, paths),
        comparison=comparison,
        nested=() if swapped else tuple(nested_comparisons(comparison, clients)),
    )


def _plan_surplus(stack: KnownStack, identity: StageIdentity, clients: Clients) -> StackPlan | None:
    actual = read_stack(clients, stack.arn or stack.name)
    if actual is None or actual.status == GONE or not is_ours(actual, identity):
        return None
    if identity.disposable:
        return StackPlan(stack.name, None, Action.DELETE, "the app no longer has it", actual)
    return StackPlan(stack.name, None, Action.KEEP, "the app no longer has it, but the stage's data is kept", actual)
