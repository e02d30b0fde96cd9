"""Deploys an assembly: addresses its assets, plans, publishes, and brings each stack to what is wanted.

Each step is written down before its call and after it, and every wait can be put down and taken up by another process:
what is under way is read from CloudFormation, never from memory. When the work is cancelled, updates that it began are
cancelled through CloudFormation, which rolls them back, and creations go on, since they can only be deleted; nobody
waits for either, as whoever comes next joins them.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.change import StackChange
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.limits import check_limits
from stagedoor.deploy.decision import Action
from stagedoor.deploy.deletion import cancel_update
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.plan import KnownStack, Plan, plan_deploy
from stagedoor.deploy.plan_json import plan_as_json
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.publishing.publish import Publishing
from stagedoor.deploy.publishing.published import Published
from stagedoor.deploy.remove import delete_stacks
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.deploy.together import Work, run_together
from stagedoor.errors import Cancelled, UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

_ASSETS = "(assets)"
"""The name of the work of publishing among those of the stacks, none of which can be called so."""


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
    hotswaps: Hotswaps | None = None,
    before_apply: Callable[[], None] = nothing_to_wait_for,
    check: Callable[[], None] = nothing_to_wait_for,
) -> Deployed:
    """Make the stage what the assembly says, and return what it is then.

    `assembly` is rewritten for the stage; `known` are the stacks that the stage had; `published` remembers what is in
    the bucket from one deploy to the next; `alone`: nobody else deploys to the stage meanwhile, so that stacks are
    changed without change sets; `hotswaps` says whether any are done and where earlier ones are written down; without
    it nothing is known of them; `before_apply` is called before the first stack is changed, if any is, while assets
    are published already; `check` is called at each step while stacks are changed, also when nothing is heard of them,
    and raises `Cancelled` when it should end. Raises what it raises, `DeployFailed` for what the app can put right,
    `StackNotOurs`, `NotBootstrapped`, and lets `LeaseLost` and `Cancelled` through; in each case what was begun goes on
    in CloudFormation or was told to roll back, and the next deploy takes it up.
    """
    with tempfile.TemporaryDirectory(prefix="stagedoor-") as scratch:
        with _phase(emit, "plan") as told:
            addressed = address_assets(assembly, clients.target, Path(scratch))
            plan = plan_deploy(addressed, identity, clients, known, hotswaps)
            for wanted in plan.wanted:
                check_limits(wanted.stack, wanted.template)
            plan.check()
            told.update(plan_as_json(plan))
        if plan.unchanged:
            return _nothing_to_do(plan, emit)
        with Publishing(addressed, _changing(plan), clients, emit, published) as publishing, _phase(emit, "apply"):
            changes = {
                wanted.name: StackChange(
                    wanted,
                    identity,
                    clients,
                    ledger,
                    emit,
                    publishing.urls.get(wanted.stack.template_path),
                    alone,
                    hotswaps,
                )
                for wanted in plan.wanted
            }
            before_apply()
            _tell_waiting(plan, emit)
            _Apply(plan, changes, publishing, clients, ledger, check).run()
            dropped = [stack.actual for stack in plan.stacks if stack.action is Action.DELETE and stack.actual]
            delete_stacks(dropped, identity, clients, ledger, emit, known=plan.surplus)
            if hotswaps:
                hotswaps.forget_all(stack.name for stack in dropped)
    return _deployed(plan, {name: change.result for name, change in changes.items()}, unchanged=False)


class _Apply:
    """Starts each stack as soon as those that it depends on are done and its assets are published. After a failure none
    is started any more, and those under way are awaited.
    """

    def __init__(
        self,
        plan: Plan,
        changes: Mapping[str, StackChange],
        publishing: Publishing,
        clients: Clients,
        ledger: Ledger,
        check: Callable[[], None],
    ) -> None:
        self._check = check
        self._planned = {stack.name: stack for stack in plan.stacks}
        self._changes = changes
        self._publishing = publishing
        self._clients = clients
        self._ledger = ledger
        self._waiting = dict(changes)
        self._unstarted = {_ASSETS: self._publish()}
        self._done: set[str] = set()
        self._errors: list[UserError] = []

    def run(self) -> None:
        try:
            run_together(self._startable)
        except Cancelled:
            self._cancel_updates()
            raise
        if self._errors:
            raise self._errors[0]

    def _startable(self) -> Mapping[str, Work[None]]:
        self._check()
        if self._errors:
            return {}
        first, self._unstarted = self._unstarted, {}
        ready = [
            name
            for name, change in self._waiting.items()
            if all(self._is_out_of_the_way(dependency, name) for dependency in change.wanted.stack.dependencies)
            and self._publishing.ready(change.wanted.stack.id)
        ]
        return first | {name: self._work(self._waiting.pop(name)) for name in ready}

    def _is_out_of_the_way(self, dependency: str, name: str) -> bool:
        """Whether a stack need not wait for one that it depends on: a hotswap does not wait for another."""
        swapped = {plan.stack_id for plan in self._planned.values() if plan.action is Action.HOTSWAP}
        return dependency in self._done or (dependency in swapped and self._planned[name].action is Action.HOTSWAP)

    def _publish(self) -> Work[None]:
        try:
            for pause in self._publishing.until_done():
                if self._errors:
                    return
                yield pause
        except UserError as error:
            self._errors.append(error)

    def _work(self, change: StackChange) -> Work[None]:
        try:
            yield from change.run(self._planned[change.wanted.name])
            self._done.add(change.wanted.stack.id)
        except UserError as error:
            self._errors.append(error)

    def _cancel_updates(self) -> None:
        updating = {name: change.updating for name, change in self._changes.items() if change.updating}
        works = {name: cancel_update(self._clients, self._ledger, name, arn) for name, arn in updating.items()}
        run_together(lambda: {name: works.pop(name) for name in list(works)})


def _tell_waiting(plan: Plan, emit: Emit) -> None:
    """Say which stacks that are to change wait for which others."""
    names = {stack.stack_id: stack.name for stack in plan.stacks if stack.action is not Action.UNCHANGED}
    for wanted in plan.wanted:
        blockers = [names[dependency] for dependency in wanted.stack.dependencies if dependency in names]
        if blockers and wanted.stack.id in names:
            data = {"ordinal": wanted.ordinal, "blockers": blockers}
            emit(Event(EventKind.STACK, wanted.name, "waiting", f"for {', '.join(blockers)}", data=data))


def _changing(plan: Plan) -> list[str]:
    """Return the ids of the stacks that are to change: only they need what is published."""
    return [stack.stack_id for stack in plan.stacks if stack.stack_id and stack.action is not Action.UNCHANGED]


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


@contextmanager
def _phase(emit: Emit, name: str) -> Iterator[dict[str, Any]]:
    """Say when a phase begins and how it ends, with what is put into the dictionary. Nothing is emitted on the way out
    of an error that emitting raised.
    """
    told: dict[str, Any] = {}
    began = time.monotonic()
    emit(Event(EventKind.PHASE, name, "started"))
    try:
        yield told
    except UserError as error:
        emit(Event(EventKind.PHASE, name, "failed", error.what, time.monotonic() - began))
        raise
    emit(Event(EventKind.PHASE, name, "done", seconds=time.monotonic() - began, data=told))
