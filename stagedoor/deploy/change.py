"""The protocol by which one stack is created or changed: look, decide, do one thing, look again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from stagedoor.deploy.change_set import begin_by_change_set, discard_change_sets
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.nested import paths_inside
from stagedoor.deploy.contents import remove_log_groups
from stagedoor.deploy.decision import Action, decide
from stagedoor.deploy.deletion import Deletion, Kept, RemoveFailed, clear_up
from stagedoor.deploy.direct import begin_directly
from stagedoor.deploy.failure import DeployFailed, failure_of
from stagedoor.deploy.kept_exports import keeping_exports
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.left_behind import left_behind
from stagedoor.deploy.pace import Pace
from stagedoor.deploy.plan import StackPlan
from stagedoor.deploy.request import Begun, Nothing, Request
from stagedoor.deploy.rollback import ROLLED_BACK, continue_rollback
from stagedoor.deploy.stacks import GONE, GOOD, REVIEW, ActualStack, check_ours, read_stack, read_template
from stagedoor.deploy.together import Work, ask
from stagedoor.deploy.wanted import Wanted
from stagedoor.deploy.watch import Watch
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

    from stagedoor.deploy.swapping.hotswap import Swap
    from stagedoor.deploy.swapping.swap import Hotswaps

_ROUNDS = 40
"""How often a stack is looked at anew before it is said that it does not come to rest. That takes a minute and a half
at least, as a change set that a dead predecessor asked for cannot be deleted before CloudFormation has worked it out.
"""
_ROUND = 2.5
_CLEANED_UP = frozenset({"UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"})
"""In which an update ends, when CloudFormation has deleted what it could of what it dropped."""


@dataclass(slots=True)
class StackChange:
    """Brings one stack to what is wanted, from whatever state it is in.

    `run` is a work for `run_together`; afterwards `result` is the stack and `changed` tells whether anything was done.
    `template_url` is where the template was published when it is too long to be sent. `alone`: nobody else deploys to
    the stage, so no compare-and-swap is needed. `updating` is the ARN while an update goes on that this change began.
    """

    wanted: Wanted
    identity: StageIdentity
    clients: Clients
    ledger: Ledger
    emit: Emit
    template_url: str | None = None
    alone: bool = False
    hotswaps: "Hotswaps | None" = None
    changed: bool = False
    result: ActualStack | None = None
    updating: str | None = None
    _pace: Pace = field(default_factory=Pace)

    def run(self, planned: StackPlan | None = None) -> Work[None]:
        """Look, decide, do one thing, and look again, until nothing is left to do. Raises `DeployFailed`.

        A creation and a hotswap that were `planned` are begun without another look; what was to stay stays.
        """
        if planned is not None and (yield from self._as_planned(planned)):
            return
        for _ in range(_ROUNDS):
            actual, template, action, swap = yield from ask(self._look)
            if action is Action.UNCHANGED and actual and (yield from self._discard(actual)):
                self._rest(actual)
                return
            if action is Action.JOIN and actual:
                yield from self._join(actual)
            elif action is Action.RECREATE and actual:
                yield from self._delete(actual)
            elif action is Action.CONTINUE and actual:
                yield from self._continue_rollback(actual)
            elif (
                self.hotswaps and actual and (swap or (action is Action.UPDATE and self.hotswaps.of(actual, template)))
            ):
                if (yield from self._hotswap(actual, template, swap)):
                    return
            elif (yield from self._change(actual)):
                return
        raise DeployFailed(
            f"The stack {self.wanted.name} did not come to rest: something else keeps changing it.",
            "Find out what else deploys to this stack, and deploy again.",
        )

    def _as_planned(self, planned: StackPlan) -> Work[bool]:
        """Create or hotswap: CloudFormation refuses a name that is taken, and Lambda a function that has changed."""
        if planned.action is Action.UNCHANGED:
            self._rest(planned.actual)
            return True
        if planned.swap and planned.actual:
            return (yield from self._hotswap(planned.actual, planned.swap.deployed, planned.swap))
        return planned.action is Action.CREATE and planned.actual is None and (yield from self._change(None))

    def _look(self) -> tuple[ActualStack | None, Mapping[str, Any] | None, Action, "Swap | None"]:
        actual = read_stack(self.clients, self.wanted.name)
        if actual is None:
            return None, None, Action.CREATE, None
        check_ours(actual, self.identity)
        template = read_template(self.clients, actual.arn) if actual.status in GOOD | {ROLLED_BACK} else None
        decision, swap = decide(self.wanted, actual, template), None
        if self.hotswaps:
            decision, swap = self.hotswaps.decide(decision, self.wanted, actual, template)
        return actual, template, decision.action, swap

    def _hotswap(self, actual: ActualStack, template: Mapping[str, Any] | None, swap: "Swap | None") -> Work[bool]:
        """Change the stack without CloudFormation; without a `swap`, take back what earlier ones did, and then let
        CloudFormation change what differs. Returns whether the stack is done; False: look at it again.
        """
        from stagedoor.deploy.swapping.swap import StackSwap  # only where something is swapped

        hotswaps, deployed = cast("Hotswaps", self.hotswaps), dict(template or {})
        swapping = StackSwap(self.wanted, actual, deployed, hotswaps, self.clients, self.ledger, self.emit)
        if swap is None:
            yield from swapping.back()
            self.changed = True
            if template != self.wanted.template:
                yield from self._change(actual)
            return False
        if not (yield from self._discard(actual)) or not (yield from swapping.forward(swap)):
            return False
        self.changed, self.result = True, actual
        data = {"arn": actual.arn, "ordinal": self.wanted.ordinal}
        self.emit(Event(EventKind.STACK, self.wanted.name, "HOTSWAP_COMPLETE", data=data))
        return True

    def _rest(self, actual: ActualStack | None) -> None:
        self.result = actual
        if not self.changed and actual:
            data = {"arn": actual.arn, "ordinal": self.wanted.ordinal}
            self.emit(Event(EventKind.STACK, self.wanted.name, "unchanged", data=data))

    def _watch(self, arn: str, token: str | None = None) -> Watch:
        stack = self.wanted.stack
        paths = {**stack.construct_paths, **paths_inside(stack, self.wanted.template)}
        return Watch(self.clients, arn, self.emit, token, paths, self.wanted.ordinal)

    def _request(self) -> Request:
        return Request(self.wanted, self.clients, self.ledger, self.template_url)

    def _join(self, actual: ActualStack) -> Work[None]:
        """Await what another began. Whether it did what is wanted is seen by looking again, not from its end."""
        watch = self._watch(actual.arn)
        began = yield from watch.skip_past()
        self.emit(
            Event(
                EventKind.STACK,
                self.wanted.name,
                actual.status,
                f"waiting for {whose_operation(began)}",
                data={"arn": actual.arn, "ordinal": self.wanted.ordinal},
            )
        )
        after = yield from watch.until_finished()
        yield from self._clear_up(after, watch)
        self.changed = True

    def _clear_up(self, after: ActualStack, watch: Watch) -> Work[None]:
        """Take away what an update, or its rollback, dropped and CloudFormation could not delete. What stays is told
        and fails no deploy; of a disposable stage the removal tries again.
        """
        if after.status not in _CLEANED_UP:
            return
        left, stack = left_behind(watch.deletions()), self.wanted.name
        if not self.identity.disposable:
            self._tell_kept(Kept(stack, one.logical_id, one.type, one.physical_id, why) for one, why in left.resources)
            return
        try:
            self._tell_kept(
                (yield from clear_up(left.resources, stack, self.identity, self.clients, self.ledger, self.emit))
            )
            groups = yield from ask(lambda: remove_log_groups(self.clients, left.log_groups))
            self._tell_kept(Kept(stack, one.logical_id, one.type, one.physical_id, why) for one, why in groups)
        except (ClientError, RemoveFailed) as error:
            self.emit(Event(EventKind.WARNING, stack, message=f"What the update dropped was not cleared up: {error}"))

    def _delete(self, actual: ActualStack) -> Work[None]:
        paths = self.wanted.stack.construct_paths
        deletion = Deletion(actual, self.identity, self.clients, self.ledger, self.emit, paths)
        yield from deletion.run()
        self._tell_kept(deletion.kept)

    def _tell_kept(self, several: Iterable[Kept]) -> None:
        for kept in several:
            message = f"{kept.physical_id} ({kept.type}) was left behind: {kept.reason}"
            self.emit(Event(EventKind.WARNING, f"{kept.stack}/{kept.logical_id}".rstrip("/"), message=message))

    def _continue_rollback(self, actual: ActualStack) -> Work[None]:
        watch = self._watch(actual.arn)
        after = yield from continue_rollback(self._request(), actual, watch, self.emit)
        if not after.busy and after.status != ROLLED_BACK:
            raise (yield from ask(lambda: failure_of(self.clients, self.wanted.stack, after, watch)))

    def _change(self, actual: ActualStack | None) -> Work[bool]:
        """Create or update the stack. Returns whether it is done; False: look at it again."""
        if actual is not None and not (yield from self._discard(actual)):
            yield from self._wait_a_round()
            return False
        watch, request = self._watch(actual.arn if actual else ""), self._request()
        if actual is not None and actual.status not in (GONE, REVIEW):
            yield from watch.skip_past()
            request = yield from keeping_exports(request, actual, self.emit)
        direct = self.alone and (actual is None or actual.status != REVIEW)
        begun = yield from (begin_directly if direct else begin_by_change_set)(request, actual)
        if begun is Nothing.YET:
            yield from self._wait_a_round()
            return False
        if isinstance(begun, Begun):
            self.result = yield from self._await(begun, watch)
        else:
            self.result = yield from ask(lambda: read_stack(self.clients, self.wanted.name))
        yield from self._protect()
        self._rest(self.result)
        return True

    def _await(self, begun: Begun, watch: Watch) -> Work[ActualStack]:
        self.changed, self.updating = True, begun.arn
        watch.arn, watch.token = begun.arn, begun.step.token
        after = yield from watch.until_finished()
        self.updating = None
        self._request().finish(begun.step, after, done=after.status in GOOD)
        yield from self._clear_up(after, watch)
        if after.status not in GOOD:
            raise (yield from ask(lambda: failure_of(self.clients, self.wanted.stack, after, watch)))
        return after

    def _discard(self, actual: ActualStack) -> Work[bool]:
        return (yield from ask(lambda: discard_change_sets(self.clients, actual)))

    def _wait_a_round(self) -> Work[None]:
        yield max(self._pace.next(news=False), min(_ROUND, self._pace.total))

    def _protect(self) -> Work[None]:
        protected, actual = self.wanted.stack.termination_protection, self.result
        if actual and actual.termination_protection != protected:
            yield from ask(
                lambda: self.clients.cloudformation.update_termination_protection(
                    StackName=actual.arn, EnableTerminationProtection=protected
                )
            )


def whose_operation(began: "StackEventTypeDef | None") -> str:
    """Return in words whose the operation is that began with this event, from its client request token.

    Ours begins with `g<generation>-r<run>-` (see `ledger.py`); the AWS console's with `Console-`.
    """
    if began is None:
        return "the operation that another deployer began"
    token = began.get("ClientRequestToken", "")
    what = began.get("ResourceStatus", "").removesuffix("_IN_PROGRESS").lower().replace("_", " ")
    head, _, rest = token.partition("-r")
    if head[:1] == "g" and head[1:].isdigit() and rest:
        who = f"run {rest.split('-', 1)[0]} of Stagedoor"
    elif token.startswith("Console-"):
        who = "somebody at the AWS console"
    else:
        who = f"another deployer (token {token})" if token else "another deployer"
    return f"the {what} that {who} began at {began['Timestamp']:%H:%M:%S} UTC"
