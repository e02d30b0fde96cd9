"""The stacks of one account, as a script: what each call answers and what it changes, by the rules of AWS's pages.

Rules, with where they are written (all under https://docs.aws.amazon.com/AWSCloudFormation/latest/):
- APIReference/API_CreateChangeSet.html: a CREATE change set makes a stack in REVIEW_IN_PROGRESS; a name is unique.
- APIReference/API_CreateStack.html, API_UpdateStack.html: a name is unique; an update without changes is refused.
- APIReference/API_ExecuteChangeSet.html: executing deletes the stack's other change sets; one that is not available is
  refused (InvalidChangeSetStatus), a missing one too (ChangeSetNotFound); a token that was used for another request is
  refused (TokenAlreadyExistsException), a repeated request is the same request.
- UserGuide/using-cfn-updating-stacks-changesets-view.html: a change set without changes ends FAILED; an update by other
  means leaves a stack's change sets OBSOLETE.
- APIReference/API_DeleteStack.html: RetainResources only for a stack that is DELETE_FAILED.
- APIReference/API_CancelUpdateStack.html, API_ContinueUpdateRollback.html: which states allow it; ResourcesToSkip names
  only resources whose rollback failed.
- UserGuide/using-cfn-stack-exports.html: an export that is imported can be neither taken away nor changed, nor can its
  stack be deleted.
- APIReference/API_StackEvent.html: an operation's token is on each of its events.

Operations take `seconds`, end when the clock is past, and do not end while their stack is held.
"""

import json
import time
import uuid
from contextlib import suppress

from tests.cloudformation.operations import Operations, failed_status, now
from tests.cloudformation.stack import ACCOUNT, Answer, ChangeSet, Refused, ScriptedStack

__all__ = ["ACCOUNT", "Refused", "ScriptedAccount"]


class ScriptedAccount(Operations):
    """All stacks by ARN. Calls are methods named after their actions; each takes the call's parameters."""

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

    def jam(self, name: str, logical_id: str, reason: str) -> None:
        """Let every operation on a stack fail at a resource, unless it is told to leave that one out."""
        self.stuck.setdefault(name, {})[logical_id] = reason

    def update_by_hand(self, name: str, template: Answer) -> None:
        """Update a stack as a person would, without a change set: those that wait become obsolete."""
        stack = self.find(name)
        stack.template = json.dumps(template)
        for change_set in stack.change_sets.values():
            change_set.execution = "OBSOLETE"

    # What is called

    def describe_stacks(self, call: Answer) -> Answer:
        self._advance()
        chosen = [self.find(call["StackName"])] if "StackName" in call else list(self.stacks.values())
        live = [stack for stack in chosen if "StackName" in call or stack.status != "DELETE_COMPLETE"]
        return {"Stacks": [self._described(stack) for stack in live]}

    def list_stacks(self, call: Answer) -> Answer:
        self._advance()
        summaries = [
            {"StackId": one.arn, "StackName": one.name, "StackStatus": one.status, "CreationTime": now()}
            for one in self.stacks.values()
            if one.status in call.get("StackStatusFilter", [one.status])
        ]
        return {"StackSummaries": summaries}

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
                    "ResourceStatus": failed_status(stack.status) if key in stack.failed else "CREATE_COMPLETE",
                    "ResourceStatusReason": stack.failed.get(key, ""),
                    "LastUpdatedTimestamp": now(),
                }
                for key, value in stack.resources.items()
            ]
        }

    def describe_stack_resources(self, call: Answer) -> Answer:
        wanted = call["PhysicalResourceId"]
        for stack in self.stacks.values():
            found = self.list_stack_resources({"StackName": stack.arn})["StackResourceSummaries"]
            held = [one | {"Timestamp": now()} for one in found if one["PhysicalResourceId"] == wanted]
            if held and stack.status != "DELETE_COMPLETE":
                return {"StackResources": held}
        raise Refused("ValidationError", f"Stack for {wanted} does not exist")

    def list_change_sets(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        return {
            "Summaries": [
                {"ChangeSetName": one.name, "ChangeSetId": one.arn, "ExecutionStatus": one.execution}
                for one in stack.change_sets.values()
            ]
        }

    def list_imports(self, call: Answer) -> Answer:
        importers = self._importers(call["ExportName"])
        if not importers:
            raise Refused("ValidationError", f"Export '{call['ExportName']}' is not imported by any stack.")
        return {"Imports": importers}

    def create_stack(self, call: Answer) -> Answer:
        known = self._tokens.get(call.get("ClientRequestToken", ""))
        if known and known[0] == "CreateStack":
            return {"StackId": known[1]}
        with suppress(Refused):
            raise Refused("AlreadyExistsException", f"Stack [{self.find(call['StackName']).name}] already exists")
        stack = self._new(call["StackName"], "CREATE_IN_PROGRESS")
        stack.template, stack.tags = call["TemplateBody"], call.get("Tags", [])
        stack.parameters = call.get("Parameters", [])
        stack.protected = call.get("EnableTerminationProtection") == "true"
        token = call.get("ClientRequestToken", "")
        self._begin(stack, "CREATE", token, ["ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"], lambda: None)
        self._tokens[token] = ("CreateStack", stack.arn)
        return {"StackId": stack.arn}

    def update_stack(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        if self._repeated(("UpdateStack", stack.arn), call):
            return {"StackId": stack.arn}
        self._check_updatable(stack)
        wanted = (call["TemplateBody"], call.get("Tags", []), call.get("Parameters", []))
        if (json.loads(wanted[0]), wanted[1]) == (json.loads(stack.template), stack.tags):
            raise Refused("ValidationError", "No updates are to be performed.")
        before = (stack.template, stack.tags, stack.parameters)
        stack.template, stack.tags, stack.parameters = wanted
        for change_set in stack.change_sets.values():
            change_set.execution = "OBSOLETE"

        def done() -> None:
            if stack.status != "UPDATE_COMPLETE":
                stack.template, stack.tags, stack.parameters = before

        rollback = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]
        token = call.get("ClientRequestToken", "")
        self._begin(stack, "UPDATE", token, rollback, done, before=before[0])
        self._tokens[token] = ("UpdateStack", stack.arn)
        return {"StackId": stack.arn}

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
        self._begin(stack, one.kind, call.get("ClientRequestToken", ""), rollback, done, before=before[0])
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
        retained = call.get("RetainResources", [])
        if retained and (stack.status != "DELETE_FAILED" or not set(retained) <= stack.failed.keys()):
            raise Refused("ValidationError", "RetainResources names what did not fail to be deleted")
        stack.change_sets.clear()
        token = call.get("ClientRequestToken", "")
        self._begin(stack, "DELETE", token, ["DELETE_FAILED"], lambda: None, spared=retained)
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
        skipped = call.get("ResourcesToSkip", [])
        if not set(skipped) <= stack.failed.keys():
            raise Refused("ValidationError", "ResourcesToSkip names resources that are not in the UPDATE_FAILED state")
        token = call.get("ClientRequestToken", "")
        self._begin(stack, "UPDATE_ROLLBACK", token, ["UPDATE_ROLLBACK_FAILED"], lambda: None, spared=skipped)
        return {}

    def update_termination_protection(self, call: Answer) -> Answer:
        stack = self.find(call["StackName"])
        stack.protected = call["EnableTerminationProtection"] == "true"
        return {"StackId": stack.arn}

    # How it works

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
        if kind == "UPDATE":
            self._check_updatable(stack)
        return stack

    def _check_updatable(self, stack: ScriptedStack) -> None:
        if not stack.status.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")):
            raise Refused("ValidationError", f"Stack:{stack.arn} is in {stack.status} state and can not be updated.")

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
