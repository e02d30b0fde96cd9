"""How what is under way on a stack begins, fails and ends, and what its events say of it."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tests.cloudformation.stack import ACCOUNT, Answer, Operation, Refused, ScriptedStack


class Operations:
    """All stacks by ARN, and the operations on them."""

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds = seconds
        self.stacks: dict[str, ScriptedStack] = {}
        self.held: set[str] = set()
        self.failing: dict[str, list[tuple[str, str]]] = {}
        self.stuck: dict[str, dict[str, str]] = {}
        self._tokens: dict[str, tuple[str, str]] = {}

    def find(self, name: str) -> ScriptedStack:
        """Return the stack by name or ARN; a deleted one by ARN alone."""
        self._advance()
        for stack in self.stacks.values():
            if stack.arn == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise Refused("ValidationError", f"Stack with id {name} does not exist")

    def _new(self, name: str, status: str) -> ScriptedStack:
        arn = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
        self.stacks[arn] = ScriptedStack(name, arn, status)
        return self.stacks[arn]

    def _begin(
        self,
        stack: ScriptedStack,
        kind: str,
        token: str,
        failure: list[str],
        apply: Callable[[], None],
        *,
        spared: Sequence[str] = (),
        before: str = "",
    ) -> None:
        scripted = self.failing.get(stack.name, [])
        jammed = [
            one for one in self.stuck.get(stack.name, {}).items() if one[0] in stack.resources and one[0] not in spared
        ]
        failing = scripted.pop(0) if scripted else self._export_in_use(stack, kind, before)
        failing = failing or next(iter(jammed), None)
        stack.status = f"{kind}_IN_PROGRESS"
        stack.operation = Operation(time.monotonic() + self.seconds, f"{kind}_COMPLETE", failure, token, apply, failing)
        self._event(stack, "", stack.status, token)
        for logical_id in stack.resources:
            self._event(stack, logical_id, stack.status, token)

    def _importers(self, export: str) -> list[str]:
        imported = json.dumps({"Fn::ImportValue": export})
        return [one.name for one in self.stacks.values() if "DELETE_COM" not in one.status and imported in one.template]

    def _export_in_use(self, stack: ScriptedStack, kind: str, before: str) -> tuple[str, str] | None:
        if kind not in ("UPDATE", "DELETE"):
            return None
        had = ScriptedStack("", "", "", before).exports if kind == "UPDATE" else stack.exports
        has = stack.exports if kind == "UPDATE" else {}
        for name in [name for name, value in had.items() if has.get(name) != value]:
            what = "updated" if name in has else "deleted"
            for importer in self._importers(name):
                return "", f"Export {name} cannot be {what} as it is in use by {importer}"
        return None

    def _advance(self) -> None:
        for stack in self.stacks.values():
            operation = stack.operation
            if operation and stack.name not in self.held and time.monotonic() >= operation.ends:
                stack.operation = None
                self._end(stack, operation)

    def _end(self, stack: ScriptedStack, operation: Operation) -> None:
        stack.failed = {}
        if operation.failing is None:
            for logical_id in stack.resources:
                self._event(stack, logical_id, operation.success, operation.token)
            stack.status = operation.success
            self._event(stack, "", stack.status, operation.token)
        else:
            logical_id, reason = operation.failing
            if logical_id:
                kind = operation.success.split("_", maxsplit=1)[0]
                self._event(stack, logical_id, f"{kind}_FAILED", operation.token, reason)
                stack.failed = {logical_id: reason}
            for status in operation.failure:
                stack.status = status
                self._event(stack, "", status, operation.token, reason)
        operation.apply()

    def _event(self, stack: ScriptedStack, logical_id: str, status: str, token: str = "", reason: str = "") -> None:
        event = {
            "EventId": str(uuid.uuid4()),
            "StackId": stack.arn,
            "StackName": stack.name,
            "LogicalResourceId": logical_id or stack.name,
            "PhysicalResourceId": f"{stack.name}-{logical_id}" if logical_id else stack.arn,
            "ResourceType": stack.resources[logical_id]["Type"] if logical_id else "AWS::CloudFormation::Stack",
            "Timestamp": now(),
            "ResourceStatus": status,
        }
        stack.events.append(
            event
            | ({"ClientRequestToken": token} if token else {})
            | ({"ResourceStatusReason": reason} if reason else {})
        )

    def _described(self, stack: ScriptedStack) -> Answer:
        return {
            "StackName": stack.name,
            "StackId": stack.arn,
            "StackStatus": stack.status,
            "CreationTime": now(),
            "Tags": stack.tags if stack.status != "REVIEW_IN_PROGRESS" else [],
            "Parameters": stack.parameters,
            "Outputs": stack.outputs,
            "EnableTerminationProtection": str(stack.protected).lower(),
        }


def failed_status(status: str) -> str:
    return "DELETE_FAILED" if status.startswith("DELETE") else "UPDATE_FAILED"


def now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
