"""The stacks of one account, as a script: what each call answers and what it changes, by the rules of AWS's pages.

Rules, with where they are written (all under https://docs.aws.amazon.com/AWSCloudFormation/latest/):
- APIReference/API_CreateChangeSet.html: a CREATE change set makes a stack in REVIEW_IN_PROGRESS; a name is unique.
- APIReference/API_ExecuteChangeSet.html: executing deletes the stack's other change sets; one that is not available is
  refused (InvalidChangeSetStatus), a missing one too (ChangeSetNotFound); a token that was used for another request is
  refused (TokenAlreadyExistsException), a repeated request is the same request.
- UserGuide/using-cfn-updating-stacks-changesets-view.html: a change set without changes ends FAILED; an update by other
  means leaves a stack's change sets OBSOLETE.
- APIReference/API_DeleteStack.html, API_CancelUpdateStack.html, API_ContinueUpdateRollback.html: which states allow it.
- APIReference/API_StackEvent.html: an operation's token is on each of its events.

Operations take `seconds`, end when the clock is past, and do not end while their stack is held.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ACCOUNT = "111122223333"
Answer = dict[str, Any]


class Refused(Exception):
    """CloudFormation's own answer to a call that it does not accept."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class ChangeSet:
    name: str
    arn: str
    template: str
    parameters: list[dict[str, str]]
    tags: list[dict[str, str]]
    token: str
    kind: str
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"
    reason: str = ""


@dataclass
class Operation:
    """Something under way: what it ends as, and when."""

    ends: float
    success: str
    failure: list[str]
    token: str
    apply: Callable[[], None]
    failing: tuple[str, str] | None = None


@dataclass
class ScriptedStack:
    name: str
    arn: str
    status: str
    template: str = "{}"
    parameters: list[dict[str, str]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    protected: bool = False
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    operation: Operation | None = None

    @property
    def resources(self) -> dict[str, Any]:
        return dict(json.loads(self.template or "{}").get("Resources", {}))


class ScriptedAccount:
    """All stacks by ARN. Calls are methods named after their actions; each takes the call's parameters."""

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds = seconds
        self.stacks: dict[str, ScriptedStack] = {}
        self.held: set[str] = set()
        self.failing: dict[str, list[tuple[str, str]]] = {}
        self._tokens: dict[str, tuple[str, str]] = {}

    # What a test says and asks

    def put(self, name: str, status: str, tags: dict[str, str] | None = None, template: Answer | None = None) -> str:
        """Have a stack in some state; return its ARN."""
        stack = self._new(name, status)
        stack.template = json.dumps(template or {"Resources": {}})
        stack.tags = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
        self._event(stack, "", status)
        return stack.arn

    def fail(self, name: str, logical_id: str, reason: str) -> None:
        """Let the next operation on a stack fail at a resource."""
        self.failing.setdefault(name, []).append((logical_id, reason))

    def update_by_hand(self, name: str, template: Answer) -> None:
        """Update a stack as a person would, without a change set: those that wait become obsolete."""
        stack = self.find(name)
        stack.template = json.dumps(template)
        for change_set in stack.change_sets.values():
            change_set.execution = "OBSOLETE"

    def find(self, name: str) -> ScriptedStack:
        """Return the stack by name or ARN; a deleted one by ARN alone."""
        self._advance()
        for stack in self.stacks.values():
            if stack.arn == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise Refused("ValidationError", f"Stack with id {name} does not exist")

    # What is called

    def describe_stacks(self, call: Answer) -> Answer:
        self._advance()
        chosen = [self.find(call["StackName"])] if "StackName" in call else list(self.stacks.values())
        live = [stack for stack in chosen if "StackName" in call or stack.status != "DELETE_COMPLETE"]
        return {"Stacks": [self._described(stack) for stack in live]}

    def get_template(self, call: Answer) -> Answer:
        return {"TemplateBody": self.find(call["StackName"]).template}

    def describe_stack_events(self, call: Answer) -> Answer:
        events = self.find(call["StackName"]).events[::-1]
        start = int(call.get("NextToken", "0"))
        page: Answer = {"StackEvents": events[start : start + 4]}
        if start + 4 < len(events):
            page["NextToken"] = str(start + 4)
        return page

    def list_stack_resources(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": key,
                    "PhysicalResourceId": f"{stack.name}-{key}",
                    "ResourceType": value["Type"],
                    "ResourceStatus": "CREATE_COMPLETE",
                    "LastUpdatedTimestamp": _now(),
                }
                for key, value in stack.resources.items()
            ]
        }

    def list_change_sets(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        return {
            "Summaries": [
                {"ChangeSetName": one.name, "ChangeSetId": one.arn, "ExecutionStatus": one.execution}
                for one in stack.change_sets.values()
            ]
        }

    def list_imports(self, call: Answer) -> Answer:
        raise Refused("ValidationError", f"Export '{call['ExportName']}' is not imported by any stack.")

    def create_change_set(self, call: Answer) -> Answer:
        kind, name = call.get("ChangeSetType", "UPDATE"), call["ChangeSetName"]
        stack = self._for_change_set(call["StackName"], kind)
        same = stack.change_sets.get(name)
        if same is not None and same.token != call.get("ClientToken"):
            raise Refused("AlreadyExistsException", f"ChangeSet {name} already exists")
        if same is None:
            arn = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}"
            same = ChangeSet(
                name,
                arn,
                call.get("TemplateBody", "{}"),
                call.get("Parameters", []),
                call.get("Tags", []),
                call.get("ClientToken", ""),
                kind,
            )
            if kind == "UPDATE" and (json.loads(same.template), same.tags) == (json.loads(stack.template), stack.tags):
                same.status, same.execution = "FAILED", "UNAVAILABLE"
                same.reason = "The submitted information didn't contain changes. Submit different information to ..."
            stack.change_sets[name] = same
        return {"Id": same.arn, "StackId": stack.arn}

    def describe_change_set(self, call: Answer) -> Answer:
        stack, one = self._change_set(call)
        return {
            "ChangeSetName": one.name,
            "ChangeSetId": one.arn,
            "StackId": stack.arn,
            "StackName": stack.name,
            "Status": one.status,
            "StatusReason": one.reason,
            "ExecutionStatus": one.execution,
        }

    def delete_change_set(self, call: Answer) -> Answer:
        try:
            stack, one = self._change_set(call)
        except Refused as refusal:
            if refusal.code == "ChangeSetNotFound":
                return {}
            raise
        if one.execution == "EXECUTE_IN_PROGRESS":
            raise Refused("InvalidChangeSetStatus", f"ChangeSet [{one.arn}] is being executed")
        del stack.change_sets[one.name]
        return {}

    def execute_change_set(self, call: Answer) -> Answer:
        request = ("ExecuteChangeSet", call["ChangeSetName"])
        if self._repeated(request, call):
            return {}
        stack, one = self._change_set(call)
        if one.execution != "AVAILABLE" or stack.operation:
            raise Refused(
                "InvalidChangeSetStatus",
                f"ChangeSet [{one.arn}] cannot be executed in its current execution status of [{one.execution}]",
            )
        stack.change_sets = {one.name: one}
        one.execution = "EXECUTE_IN_PROGRESS"
        before = (stack.template, stack.tags)
        stack.template, stack.tags, stack.parameters = one.template, one.tags, one.parameters

        def done() -> None:
            one.execution = "EXECUTE_COMPLETE"
            if stack.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                stack.template, stack.tags = before if one.kind == "UPDATE" else (one.template, one.tags)

        rollback = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]
        if one.kind == "CREATE":
            rollback = ["ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
        self._begin(stack, one.kind, call.get("ClientRequestToken", ""), rollback, done)
        self._tokens[call.get("ClientRequestToken", "")] = request
        return {}

    def delete_stack(self, call: Answer) -> Answer:
        try:
            stack = self.find(call["StackName"])
        except Refused:
            return {}
        request = ("DeleteStack", stack.arn)
        if self._repeated(request, call) or stack.status == "DELETE_COMPLETE":
            return {}
        if stack.protected:
            raise Refused(
                "ValidationError", f"Stack [{stack.arn}] cannot be deleted while TerminationProtection is enabled"
            )
        if stack.operation:
            raise Refused("ValidationError", f"Stack [{stack.arn}] cannot be deleted while in status {stack.status}")
        stack.change_sets.clear()
        self._begin(stack, "DELETE", call.get("ClientRequestToken", ""), ["DELETE_FAILED"], lambda: None)
        self._tokens[call.get("ClientRequestToken", "")] = request
        return {}

    def cancel_update_stack(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        if stack.status != "UPDATE_IN_PROGRESS" or stack.operation is None:
            raise Refused("ValidationError", "CancelUpdateStack cannot be called from current stack status")
        operation = stack.operation
        operation.failing = ("", "Resource update cancelled")
        operation.token = call.get("ClientRequestToken", "")
        operation.ends = time.monotonic() + self.seconds
        self.held.discard(stack.name)
        return {}

    def continue_update_rollback(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        if stack.status != "UPDATE_ROLLBACK_FAILED":
            raise Refused(
                "ValidationError", f"Stack [{stack.arn}] is in {stack.status} state and can not be rolled back"
            )
        token = call.get("ClientRequestToken", "")
        self._begin(stack, "UPDATE_ROLLBACK", token, ["UPDATE_ROLLBACK_FAILED"], lambda: None)
        return {}

    def update_termination_protection(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        stack.protected = call["EnableTerminationProtection"] == "true"
        return {"StackId": stack.arn}

    # How it works

    def _new(self, name: str, status: str) -> ScriptedStack:
        arn = f"arn:aws:cloudformation:us-east-1:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
        self.stacks[arn] = ScriptedStack(name, arn, status)
        return self.stacks[arn]

    def _for_change_set(self, name: str, kind: str) -> ScriptedStack:
        try:
            stack = self.find(name)
        except Refused:
            if kind == "UPDATE":
                raise
            stack = self._new(name, "REVIEW_IN_PROGRESS")
            self._event(stack, "", "REVIEW_IN_PROGRESS")
            return stack
        if kind == "CREATE" and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused("AlreadyExistsException", f"Stack [{name}] already exists")
        if kind == "UPDATE" and not stack.status.endswith(
            ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
        ):
            raise Refused("ValidationError", f"Stack:{stack.arn} is in {stack.status} state and can not be updated.")
        return stack

    def _change_set(self, call: Answer) -> tuple[ScriptedStack, ChangeSet]:
        self._advance()
        wanted = call["ChangeSetName"]
        if not wanted.startswith("arn:"):
            stack = self.find(call["StackName"])
            if wanted in stack.change_sets:
                return stack, stack.change_sets[wanted]
        for stack in self.stacks.values():
            for one in stack.change_sets.values():
                if one.arn == wanted:
                    return stack, one
        raise Refused("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist")

    def _repeated(self, request: tuple[str, str], call: Answer) -> bool:
        """Whether this very request was accepted before under its token."""
        known = self._tokens.get(call.get("ClientRequestToken", "")) if "ClientRequestToken" in call else None
        if known not in (None, request):
            raise Refused("TokenAlreadyExistsException", "A client request token already exists.")
        return known is not None

    def _begin(
        self, stack: ScriptedStack, kind: str, token: str, failure: list[str], apply: Callable[[], None]
    ) -> None:
        stack.status = f"{kind}_IN_PROGRESS"
        scripted = self.failing.get(stack.name, [])
        failing = scripted.pop(0) if scripted else None
        stack.operation = Operation(time.monotonic() + self.seconds, f"{kind}_COMPLETE", failure, token, apply, failing)
        self._event(stack, "", stack.status, token)
        for logical_id in stack.resources:
            self._event(stack, logical_id, stack.status, token)

    def _advance(self) -> None:
        for stack in self.stacks.values():
            operation = stack.operation
            if operation and stack.name not in self.held and time.monotonic() >= operation.ends:
                stack.operation = None
                self._end(stack, operation)

    def _end(self, stack: ScriptedStack, operation: Operation) -> None:
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
            "Timestamp": _now(),
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
            "CreationTime": _now(),
            "Tags": stack.tags if stack.status != "REVIEW_IN_PROGRESS" else [],
            "Parameters": stack.parameters,
            "Outputs": [],
            "EnableTerminationProtection": str(stack.protected).lower(),
        }


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
