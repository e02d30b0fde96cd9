"""What a deploy does when there is something to do: publishes assets and changes stacks, as planned."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.change import StackChange
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.decision import Action
from stagedoor.deploy.deletion import cancel_update
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.phases import phase
from stagedoor.deploy.plan import Plan
from stagedoor.deploy.publishing.publish import Publishing
from stagedoor.deploy.publishing.published import Published
from stagedoor.deploy.remove import delete_stacks
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.together import Work, run_together
from stagedoor.errors import Cancelled, UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from stagedoor.deploy.swapping.swap import Hotswaps

_ASSETS = "(assets)"
"""The name of the work of publishing among those of the stacks, none of which can be called so."""


def change_stacks(
    plan: Plan,
    addressed: Assembly,
    identity: StageIdentity,
    clients: Clients,
    ledger: Ledger,
    emit: Emit,
    published: Published | None,
    alone: bool,
    hotswaps: "Hotswaps | None",
    before_apply: Callable[[], None],
    check: Callable[[], None],
) -> dict[str, ActualStack | None]:
    """Do what the plan says, and return each wanted stack as it then is. All else is as `apply.deploy` has it."""
    with Publishing(addressed, _changing(plan), clients, emit, published) as publishing, phase(emit, "apply"):
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
        _Changing(plan, changes, publishing, clients, ledger, check).run()
        dropped = [stack.actual for stack in plan.stacks if stack.action is Action.DELETE and stack.actual]
        delete_stacks(dropped, identity, clients, ledger, emit, known=plan.surplus)
        if hotswaps:
            hotswaps.forget_all(stack.name for stack in dropped)
    return {name: change.result for name, change in changes.items()}


class _Changing:
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
