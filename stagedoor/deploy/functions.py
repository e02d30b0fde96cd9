"""The functions of a stage as the account has them after a deploy: their names, roles and ARNs."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.bridged_functions import DEFAULT_TIMEOUT, BridgedFunction
from stagedoor.assembly.model import Assembly
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.swapping.references import read_physical_ids

_READERS = 8


@dataclass(frozen=True, slots=True)
class StageFunction:
    """A Lambda function of a deployed stage. `template` is what its template says of it.

    `name` is the physical one; `arn` and `role` (an ARN) are empty where it is not live. `timeout_s` is the app's own.
    """

    name: str
    template: BridgedFunction
    arn: str = ""
    role: str = ""
    timeout_s: int = DEFAULT_TIMEOUT

    @property
    def place(self) -> str:
        """Where it is: the stack's id, the logical ids of nested stacks, and its own, with bars between them."""
        return "|".join((self.template.stack, *self.template.nested, self.template.logical_id))

    def as_json(self) -> dict[str, Any]:
        """Return what the service is told of it."""
        return {
            "name": self.name,
            "arn": self.arn,
            "role": self.role,
            "timeout_s": self.timeout_s,
            "runtime": self.template.runtime,
            "handler": self.template.handler,
            "live": self.template.live,
            "reason": self.template.reason,
            "place": self.place,
        }


def read_functions(
    found: Sequence[BridgedFunction], assembly: Assembly, stacks: Sequence[KnownStack], clients: Clients
) -> tuple[StageFunction, ...]:
    """Return the functions of a stage that was just deployed as `assembly`; those that a condition left out are not
    there. Lambda is asked about each live one.
    """
    arns = {stack.name: stack.arn for stack in stacks if stack.arn}
    roots = {stack.id: arns[stack.name] for stack in assembly.stacks if stack.name in arns}
    ids = _PhysicalIds(clients)
    named = [(name, function) for function in found if (name := ids.of(function, roots))]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="functions") as readers:
        return tuple(readers.map(lambda one: _read(one[0], one[1], clients), named))


class _PhysicalIds:
    """Physical ids by logical ids, of stacks that were asked about before."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[str, dict[str, str]] = {}

    def of(self, function: BridgedFunction, roots: Mapping[str, str]) -> str | None:
        arn = roots.get(function.stack)
        for nested in function.nested:
            arn = self._in(arn).get(nested)
        return self._in(arn).get(function.logical_id)

    def _in(self, arn: str | None) -> dict[str, str]:
        if arn is None:
            return {}
        if arn not in self._known:
            self._known[arn] = read_physical_ids(self._clients, arn)
        return self._known[arn]


def _read(name: str, function: BridgedFunction, clients: Clients) -> StageFunction:
    if not function.live:
        return StageFunction(name, function, timeout_s=function.timeout_s or DEFAULT_TIMEOUT)
    said = clients.client("lambda", Phase.DEPLOY).get_function_configuration(FunctionName=name)
    own = said.get("Environment", {}).get("Variables", {}).get("STAGEDOOR_LIVE_TIMEOUT", "")
    timeout = function.timeout_s or (int(own) if own.isdecimal() else DEFAULT_TIMEOUT)
    return StageFunction(name, function, said["FunctionArn"], said["Role"], timeout)
