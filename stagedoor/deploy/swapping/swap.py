"""Carries hotswaps out: all of a stack's at once, each written down before its first call and after its last.

`Hotswaps` is what one deploy knows of them: whether it may, and what earlier ones left. It turns the decision about a
stack into the decision to swap it, or to put back what was swapped before CloudFormation changes the stack:
CloudFormation changes only what differs between two templates, so it must first be right about what is there.
"""

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self

from botocore.exceptions import ClientError, ParamValidationError

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.decision import Action, Decision, decide
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import Ledger, Step
from stagedoor.deploy.stacks import ActualStack, error_code
from stagedoor.deploy.swapping.drift import IN_DOUBT, Drift, Drifts, DriftsUnreadable, digest
from stagedoor.deploy.swapping.function_swap import FunctionSwap, SwapFailed, Swapping, function_change, touching
from stagedoor.deploy.swapping.hotswap import DEFINITION, FUNCTION, ResourceSwap, Swap, find_restoration, find_swap
from stagedoor.deploy.swapping.references import Unresolvable, read_physical_ids, resolve, scope_in_account
from stagedoor.deploy.together import Work, ask
from stagedoor.deploy.wanted import Wanted
from stagedoor.events import Emit, Event, EventKind

_AT_ONCE = 8
_PAUSE = 0.02
_DENIED = frozenset({"AccessDenied", "UnauthorizedOperation"})
_MISSING = frozenset({"ResourceNotFound", "StateMachineDoesNotExist"})
_SUBJECT_LIMIT = 255
"""Characters of a step's subject that a ledger keeps."""


class NotSwapped(Exception):
    """Nothing, or not all, could be swapped, and not for the app's sake: the stack goes by CloudFormation."""


class _Stopped(Exception):
    """The work was given up while a swap was waiting."""


@dataclass(slots=True)
class Hotswaps:
    """What a deploy knows of hotswaps. `allowed`: whether it does any; what earlier ones left is put right anyway."""

    drifts: Drifts
    allowed: bool
    _known: dict[str, Drift] = field(default_factory=dict)
    _refused: set[str] = field(default_factory=set)

    def read(self) -> Self:
        """Read what earlier hotswaps left, and return itself; who may not read that does none."""
        try:
            self._known = dict(self.drifts.read())
        except DriftsUnreadable:
            self.allowed = False
        return self

    def of(self, actual: ActualStack, template: Mapping[str, Any] | None) -> Drift:
        """Return the drift of a stack that has this template; none where the template cannot be known."""
        known = self._known.get(actual.name)
        return known.of(actual.arn, template) if known and template is not None else Drift()

    def write(self, stack: str, drift: Drift) -> None:
        """Write a stack's drift down, and remember it."""
        self.drifts.write(stack, drift)
        self._known[stack] = drift

    def refuse(self, stack: str) -> None:
        """Let the stack go by CloudFormation for the rest of this deploy."""
        self._refused.add(stack)

    def forget(self, stack: str) -> None:
        """Forget the drift of a stack that is again as CloudFormation takes it to be."""
        if self._known.pop(stack, None):
            self.drifts.write(stack, Drift())

    def forget_all(self, stacks: Iterable[str]) -> None:
        """Forget the drift of stacks that were deleted."""
        for stack in stacks:
            self.forget(stack)

    def decide(
        self, decision: Decision, wanted: Wanted, actual: ActualStack | None, template: Mapping[str, Any] | None
    ) -> tuple[Decision, Swap | None]:
        """Return the decision with hotswaps in mind, and the swap where that is what to do."""
        if decision.action not in (Action.UPDATE, Action.UNCHANGED) or actual is None or template is None:
            return decision, None
        drift = self.of(actual, template)
        if decision.action is Action.UNCHANGED and not drift:
            return decision, None
        reason = decision.reason if decision.action is Action.UPDATE else "it was hotswapped since its last update"
        allowed = self.allowed and wanted.name not in self._refused
        only_template = decide(replace(wanted, template=dict(template)), actual, template).action is Action.UNCHANGED
        if not allowed or not only_template:
            return Decision(Action.UPDATE, reason), None
        found = find_swap(dict(template), wanted.template, drift, actual)
        if not isinstance(found, Swap):
            return Decision(Action.UPDATE, f"{reason}: {found.reason}"), None
        if found.resources:
            return Decision(Action.HOTSWAP, found.reason), found
        return Decision(Action.UNCHANGED, "nothing that AWS acts on differs from what is there"), None


@dataclass(slots=True)
class StackSwap:
    """Carries the swaps of one stack out. `deployed` is the template that CloudFormation has."""

    wanted: Wanted
    actual: ActualStack
    deployed: Template
    hotswaps: Hotswaps
    clients: Clients
    ledger: Ledger
    emit: Emit
    drift: Drift = field(init=False)
    _back: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.drift = self.hotswaps.of(self.actual, self.deployed) or Drift(self.actual.arn, digest(self.deployed))

    def forward(self, swap: Swap) -> Work[bool]:
        """Take the stack to what is wanted. Returns False where it has to go by CloudFormation after all; raises
        `DeployFailed` for what the service refuses.
        """
        try:
            yield from self._run(swap, self.wanted.template)
        except NotSwapped as problem:
            self.hotswaps.refuse(self.wanted.name)
            self._warn(f"{self.wanted.name} cannot be hotswapped and goes by CloudFormation: {problem}")
            return False
        return True

    def back(self) -> Work[None]:
        """Make the stack again what CloudFormation takes it to be, before CloudFormation changes it.

        Raises `DeployFailed` where that does not succeed and CloudFormation has nothing to change. Else it may yet set
        right by itself what failed here, so that is only said.
        """
        self._back = True
        swap = find_restoration(self.deployed, self.drift, self.actual)
        try:
            if swap.resources:
                yield from self._run(swap, self.deployed)
            yield from ask(lambda: self.hotswaps.forget(self.wanted.name))
        except (DeployFailed, NotSwapped) as problem:
            what = f"What was hotswapped in {self.wanted.name} could not be put back: {problem}"
            if self.deployed == self.wanted.template:
                raise DeployFailed(what, "Put right what the reason says, and deploy again.") from None
            self._warn(what)

    def _warn(self, message: str) -> None:
        self.emit(Event(EventKind.WARNING, self.wanted.name, message=message))

    def _run(self, swap: Swap, template: Template) -> Work[None]:
        """Swap everything at once, to what `template` says, and return when all of it is active."""
        works = yield from ask(lambda: self._works(swap, template))
        begun = self.drift
        for resource in swap.resources:
            before = self.drift.swapped.get(resource.logical_id, {})
            begun = begun.with_resource(resource.logical_id, {**before, **dict.fromkeys(resource.wanted, IN_DOUBT)})
        yield from ask(lambda: self.hotswaps.write(self.wanted.name, begun))
        errors: list[Exception] = []
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hotswap") as swappers:
            try:
                running = {one.logical_id: self._begin(one, works[one.logical_id], swappers) for one in swap.resources}
                left = list(swap.resources)
                while left:
                    for resource in [one for one in left if running[one.logical_id][1].done()]:
                        left.remove(resource)
                        begun = self._end(resource, works[resource.logical_id], running, begun, errors)
                    if left:
                        yield _PAUSE
            finally:
                self._stop.set()
        self.drift = replace(begun, failed=any(isinstance(error, DeployFailed) for error in errors))
        yield from ask(lambda: self.hotswaps.write(self.wanted.name, self.drift))
        for error in sorted(errors, key=lambda one: isinstance(one, NotSwapped)):
            raise error

    def _works(self, swap: Swap, template: Template) -> dict[str, Swapping]:
        physical_ids = read_physical_ids(self.clients, self.actual.arn)
        scope = scope_in_account(template, self.actual, physical_ids)
        definitions = template["Resources"]
        works: dict[str, Swapping] = {}
        try:
            for resource in swap.resources:
                if resource.type == FUNCTION:
                    properties = properties_of(definitions[resource.logical_id])
                    names = [properties_of(definitions[alias]).get("Name") for alias in resource.aliases]
                    change = function_change(resource, properties, scope, resolve(names, scope))
                    client = self.clients.client("lambda", Phase.DEPLOY)
                    works[resource.logical_id] = FunctionSwap(client, change, self._wait)
                else:
                    works[resource.logical_id] = StateMachineSwap(
                        self.clients.client("stepfunctions", Phase.DEPLOY),
                        physical_ids[resource.logical_id],
                        str(resolve(resource.wanted[DEFINITION], scope)),
                    )
        except (Unresolvable, KeyError) as missing:
            raise NotSwapped(f"{missing} is not known in the account") from None
        except (TypeError, ValueError) as wrong:
            raise NotSwapped(f"a property is not what it should be: {wrong}") from None
        return works

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _Stopped

    def _begin(
        self, resource: ResourceSwap, work: Swapping, swappers: ThreadPoolExecutor
    ) -> "tuple[Step, Future[None]]":
        subject = f"{self.wanted.name}/{resource.logical_id}"[:_SUBJECT_LIMIT]
        step = self.ledger.begin("hotswap", subject, {"arn": self.actual.arn, "paths": list(resource.wanted)})
        self._tell(resource, "IN_PROGRESS")
        return step, swappers.submit(work.run)

    def _end(
        self,
        resource: ResourceSwap,
        work: Swapping,
        running: "Mapping[str, tuple[Step, Future[None]]]",
        drift: Drift,
        errors: list[Exception],
    ) -> Drift:
        """Write down what came of one swap, and return the drift with it."""
        step, future = running[resource.logical_id]
        try:
            future.result()
        except (SwapFailed, ClientError, ParamValidationError) as error:
            if not self._is_gone(error):
                reason = error.response["Error"]["Message"] if isinstance(error, ClientError) else str(error)
                self.ledger.finish(step, "failed" if work.touched else "refused", {"reason": reason})
                self._tell(resource, "FAILED", reason)
                errors.append(self._error(resource, error, reason, touched=work.touched))
                if work.touched:
                    return drift
                return drift.with_resource(resource.logical_id, self.drift.swapped.get(resource.logical_id, {}))
        self.ledger.finish(step, "done", {"arn": self.actual.arn})
        self._tell(resource, "COMPLETE")
        return drift.with_resource(resource.logical_id, resource.drift)

    def _is_gone(self, error: Exception) -> bool:
        """Whether there is nothing to put back, since somebody deleted what was swapped."""
        return self._back and isinstance(error, ClientError) and error_code(error) in _MISSING

    def _error(self, resource: ResourceSwap, error: Exception, reason: str, *, touched: bool) -> Exception:
        """Return what to raise. Where nothing was changed, or we are not allowed to, CloudFormation may do better."""
        denied = isinstance(error, ClientError) and error_code(error) in _DENIED
        if isinstance(error, ClientError) and not denied and not judges_request(error):
            return error
        where = self.wanted.stack.construct_paths.get(resource.logical_id, resource.logical_id)
        if denied or not touched:
            return NotSwapped(f"{where} ({resource.type}): {reason}")
        return DeployFailed(
            f"{where} ({resource.type}) in the stack {self.wanted.name} could not be hotswapped: {reason.rstrip('.')}.",
            "Correct the app as the reason says, and deploy again; that deploy goes by CloudFormation.",
            location=self.wanted.stack.places.get(resource.logical_id),
        )

    def _tell(self, resource: ResourceSwap, status: str, reason: str = "") -> None:
        status = f"HOTSWAP_BACK_{status}" if self._back else f"HOTSWAP_{status}"
        data = {
            "type": resource.type,
            "construct_path": self.wanted.stack.construct_paths.get(resource.logical_id, ""),
            "paths": list(resource.wanted),
        }
        self.emit(Event(EventKind.RESOURCE, f"{self.wanted.name}/{resource.logical_id}", status, reason, data=data))


@dataclass(slots=True)
class StateMachineSwap:
    """Gives a state machine another definition. There is no compare-and-swap for that: what a frozen predecessor sends
    late is put right by the next deploy only (https://docs.aws.amazon.com/step-functions/latest/apireference/
    API_UpdateStateMachine.html).
    """

    client: Any
    arn: str
    definition: str
    touched: bool = False

    def run(self) -> None:
        """Change it. Executions that begin within the next seconds may still take the old definition."""
        with touching(self):
            self.client.update_state_machine(stateMachineArn=self.arn, definition=self.definition)
