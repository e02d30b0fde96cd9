"""Deploys an assembly: addresses its assets, plans, publishes, and brings each stack to what is wanted.

Each step is written down before its call and after it, and every wait can be put down and taken up by another process:
what is under way is read from CloudFormation, never from memory. When the work is cancelled, updates that it began are
cancelled through CloudFormation, which rolls them back, and creations go on, since they can only be deleted; nobody
waits for either, as whoever comes next joins them.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.limits import check_limits
from stagedoor.deploy.decision import Action
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.phases import phase
from stagedoor.deploy.plan import KnownStack, Plan, plan_deploy
from stagedoor.deploy.plan_json import plan_as_json
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.publishing.published import Published
from stagedoor.deploy.stacks import ActualStack
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from stagedoor.deploy.swapping.swap import Hotswaps


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stage after its deploy. `outputs`, those for people, are by the app's own name for the stack; `stacks` are what
    the stage has now, those that the app no longer has but that are kept included. `unchanged`: nothing had to be done.
    """

    stacks: tuple[KnownStack, ...]
    outputs: dict[str, dict[str, str]]
    unchanged: bool


def nothing_to_wait_for() -> None:
    """Let stacks be changed as soon as it is known how."""


def deploy(
    assembly: Assembly,
    identity: StageIdentity,
    clients: Clients,
    ledger: Ledger,
    emit: Emit,
    known: Sequence[KnownStack] = (),
    published: Published | None = None,
    *,
    alone: bool = False,
    hotswaps: "Hotswaps | None" = None,
    before_apply: Callable[[], None] = nothing_to_wait_for,
    check: Callable[[], None] = nothing_to_wait_for,
    seen: Mapping[str, ActualStack] | None = None,
) -> Deployed:
    """Make the stage what the assembly says, and return what it is then.

    `assembly` is rewritten for the stage; `known` are the stacks that the stage had; `published` remembers what is in
    the bucket from one deploy to the next; `alone`: nobody else deploys to the stage meanwhile, so that stacks are
    changed without change sets; `hotswaps` says whether any are done and where earlier ones are written down; without
    it nothing is known of them; `before_apply` is called before the first stack is changed, if any is, while assets
    are published already; `check` is called at each step while stacks are changed, also when nothing is heard of them,
    and raises `Cancelled` when it should end; `seen` is as `plan_deploy` has it. Raises what it raises, `DeployFailed`
    for what the app can put right, `StackNotOurs`, `NotBootstrapped`, and lets `LeaseLost` and `Cancelled` through; in
    each case what was begun goes on in CloudFormation or was told to roll back, and the next deploy takes it up.
    """
    with tempfile.TemporaryDirectory(prefix="stagedoor-") as scratch:
        with phase(emit, "plan") as told:
            addressed = address_assets(assembly, clients.target, Path(scratch))
            plan = plan_deploy(addressed, identity, clients, known, hotswaps, seen)
            for wanted in plan.wanted:
                check_limits(wanted.stack, wanted.template)
            plan.check()
            told.update(plan_as_json(plan))
        if plan.unchanged:
            return _nothing_to_do(plan, emit)
        # Only here: a deploy that finds nothing to do does not wait for what changes stacks to load.
        from stagedoor.deploy.changing import change_stacks

        results = change_stacks(
            plan, addressed, identity, clients, ledger, emit, published, alone, hotswaps, before_apply, check
        )
    return _deployed(plan, results, unchanged=False)


def _nothing_to_do(plan: Plan, emit: Emit) -> Deployed:
    actual = {stack.name: stack.actual for stack in plan.stacks}
    for wanted in plan.wanted:
        stack = actual[wanted.name]
        data = {"arn": stack.arn if stack else None, "ordinal": wanted.ordinal}
        emit(Event(EventKind.STACK, wanted.name, "unchanged", data=data))
    return _deployed(plan, actual, unchanged=True)


def _deployed(plan: Plan, actual: Mapping[str, ActualStack | None], *, unchanged: bool) -> Deployed:
    stacks: list[KnownStack] = []
    outputs: dict[str, dict[str, str]] = {}
    for wanted in plan.wanted:
        stack = actual.get(wanted.name)
        stacks.append(KnownStack(wanted.name, stack.arn if stack else None, wanted.ordinal))
        outputs[wanted.stack.own_name] = stack.shown_outputs if stack else {}
    kept = {stack.name for stack in plan.stacks if stack.action is Action.KEEP}
    stacks += [stack for stack in plan.surplus if stack.name in kept]
    return Deployed(tuple(stacks), outputs, unchanged)
