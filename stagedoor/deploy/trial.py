"""What CloudFormation itself says of an update: a change set that is made, read and deleted, never executed.

It knows what templates do not tell: values behind parameters of the parameter store, what macros make, which
attributes change. It is for stacks that are to be updated; what is to be created is all new, as with `cdk diff`. The
change sets are named as those of deploys are: the next deploy takes one away that is left by a process that died.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stagedoor.assembly.retention import DATA
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.differences import ChangeAction, ResourceChange, ValueChange, redacted
from stagedoor.deploy.comparison.resolution import HIDDEN
from stagedoor.deploy.comparison.resource_types.reading import Replacement
from stagedoor.deploy.decision import Action
from stagedoor.deploy.failure import change_set_refused
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.pace import Pace
from stagedoor.deploy.plan import Plan, StackPlan
from stagedoor.deploy.request import Request, change_set_name, says_nothing_to_do
from stagedoor.deploy.wanted import Wanted
from stagedoor.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import (
        CreateChangeSetOutputTypeDef,
        DescribeChangeSetOutputTypeDef,
        ResourceChangeDetailTypeDef,
        ResourceChangeTypeDef,
    )

BODY_LIMIT = 51_200
"""Bytes of a template that a call can carry; a longer one would have to be published for a change set
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html)."""

_AT_ONCE = 8
_REPLACEMENTS = {"True": Replacement.ALWAYS, "Conditional": Replacement.MAYBE}
_KEEPING = frozenset({"Retain", "ReplaceAndRetain"})
_LOSING = frozenset({"Delete", "ReplaceAndDelete"})


def with_change_sets(plan: Plan, clients: Clients, run: str) -> Plan:
    """Return the plan with the changes of updated stacks as CloudFormation tells them; what it refuses is added to the
    refusals. `run` makes the change sets' names unique. A stack whose template is longer than `BODY_LIMIT` stays as
    it was compared.
    """
    wanted = {one.name: one for one in plan.wanted}
    trials = [
        _Trial(stack, wanted[stack.name], clients, run)
        for stack in plan.stacks
        if stack.action is Action.UPDATE and wanted[stack.name].stack.template_path.stat().st_size <= BODY_LIMIT
    ]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="trial") as threads:
        told = {trial.stack.name: found for trial, found in zip(trials, threads.map(_Trial.run, trials), strict=True)}
    stacks = tuple(found if isinstance(found := told.get(one.name), StackPlan) else one for one in plan.stacks)
    refusals = tuple(found for found in told.values() if isinstance(found, UserError))
    return replace(plan, stacks=stacks, refusals=(*plan.refusals, *refusals))


@dataclass(frozen=True, slots=True)
class _Trial:
    stack: StackPlan
    wanted: Wanted
    clients: Clients
    name: str

    def run(self) -> StackPlan | UserError:
        client = self.clients.cloudformation
        name = change_set_name(f"diff-{self.name}")
        arguments = Request(self.wanted, self.clients, MemoryLedger(self.name)).arguments(self.stack.actual)
        made = client.create_change_set(ChangeSetName=name, ChangeSetType="UPDATE", **arguments)
        try:
            described = self._await(made)
            reason = described.get("StatusReason", "")
            if described["Status"] == "FAILED" and not says_nothing_to_do(reason):
                return change_set_refused(self.clients, self.wanted.stack, made["Id"], reason)
            return self._told(self._changes(made) if described["Status"] != "FAILED" else [])
        finally:
            client.delete_change_set(StackName=made["StackId"], ChangeSetName=made["Id"])

    def _await(self, made: "CreateChangeSetOutputTypeDef") -> "DescribeChangeSetOutputTypeDef":
        pace = Pace(self.clients.looks)
        while True:
            described = self.clients.cloudformation.describe_change_set(
                StackName=made["StackId"], ChangeSetName=made["Id"]
            )
            if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return described
            time.sleep(pace.next(news=False))

    def _changes(self, made: "CreateChangeSetOutputTypeDef") -> list["ResourceChangeTypeDef"]:
        pages = self.clients.cloudformation.get_paginator("describe_change_set").paginate(
            StackName=made["StackId"], ChangeSetName=made["Id"], IncludePropertyValues=True
        )
        return [one["ResourceChange"] for page in pages for one in page.get("Changes", []) if "ResourceChange" in one]

    def _told(self, changes: Iterable["ResourceChangeTypeDef"]) -> StackPlan:
        compared = {change.logical_id: change for change in self.stack.difference.resources}
        paths = self.stack.comparison.paths if self.stack.comparison else self.wanted.stack.construct_paths
        told = []
        for change in changes:
            logical_id = change.get("LogicalResourceId", "")
            path = paths.get(logical_id) or logical_id
            blank = ResourceChange(logical_id, change.get("ResourceType", ""), path, ChangeAction.MODIFY)
            told.append(exact(compared.get(logical_id, blank), change))
        return replace(self.stack, difference=replace(self.stack.difference, resources=tuple(told)))


def exact(compared: ResourceChange, told: "ResourceChangeTypeDef") -> ResourceChange:
    """Return a change with what a change set says of it. What is replaced and deleted is CloudFormation's word; the
    values are those of the comparison, where that found any, as secrets are hidden there.
    """
    action = {"Add": ChangeAction.ADD, "Remove": ChangeAction.REMOVE, "Import": ChangeAction.IMPORT}
    policy = told.get("PolicyAction", "")
    replacement = _REPLACEMENTS.get(told.get("Replacement", ""), Replacement.NEVER)
    gone = told.get("Action") == "Remove" or replacement is not Replacement.NEVER
    return replace(
        compared,
        action=action.get(told.get("Action", ""), ChangeAction.MODIFY),
        replacement=replacement,
        properties=compared.properties or tuple(_values(told.get("Details", []))),
        loses_data=gone and compared.type in DATA and (policy in _LOSING if policy else compared.loses_data),
        kept=policy in _KEEPING if policy else compared.kept and gone,
    )


def _values(details: Iterable["ResourceChangeDetailTypeDef"]) -> Iterable[ValueChange]:
    for detail in details:
        target = detail.get("Target", {})
        if target.get("Attribute") != "Properties":
            continue
        path = target.get("Path", "").removeprefix("/Properties/").replace("/", ".") or target.get("Name", "")
        rating = {"Always": Replacement.ALWAYS, "Conditionally": Replacement.MAYBE}
        replacement = rating.get(target.get("RequiresRecreation", ""), Replacement.NEVER)
        cause = detail.get("CausingEntity", "")
        yield redacted(
            ValueChange(path, target.get("BeforeValue", HIDDEN), target.get("AfterValue", HIDDEN), replacement, cause)
        )
