"""Who may do more, or less, after a deploy: policy statements, managed policies and security groups' rules.

They are found by their shape, so that no type is left out that nobody thought of: each object with a `Statement` is a
policy. Another order, and a single value written as a list, are no change. `cdk diff` shows these changes first, too
(https://docs.aws.amazon.com/cdk/v2/guide/ref-cli-cmd-diff.html).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stagedoor.deploy.comparison.differences import ChangeAction
from stagedoor.deploy.comparison.resolution import Resolved

_LISTS = ("Action", "NotAction", "Resource", "NotResource")
_RULES = {"SecurityGroupIngress": "ingress", "SecurityGroupEgress": "egress"}
_MANAGED = ("ManagedPolicyArns", "ManagedPolicies", "PermissionsBoundary")
_HOLDERS = ("Roles", "Users", "Groups", "RoleName", "UserName", "GroupName")
_POLICY_TYPES = frozenset(
    f"AWS::IAM::{name}" for name in ("Policy", "ManagedPolicy", "RolePolicy", "UserPolicy", "GroupPolicy")
)


class PermissionKind(StrEnum):
    """What kind of permission changes."""

    STATEMENT = "statement"
    MANAGED_POLICY = "managed-policy"
    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class PermissionChange:
    """A permission that is added or removed.

    `subject` is the construct path of what has it: the role of an identity's policy, else the resource with the policy.
    `rule` is the statement, the security group's rule, or `{"Policy": …}`; values that are known only after the deploy
    are functions.
    """

    action: ChangeAction
    kind: PermissionKind
    subject: str
    rule: Mapping[str, Any]


def permission_changes(before: Resolved, after: Resolved, paths: Mapping[str, str]) -> tuple[PermissionChange, ...]:
    """Return the permissions that only one of two templates gives: those removed first. `paths` as in `difference`."""
    old = _keyed(before, paths)
    new = _keyed(after, paths)
    removed = [PermissionChange(ChangeAction.REMOVE, *old[key]) for key in old if key not in new]
    added = [PermissionChange(ChangeAction.ADD, *new[key]) for key in new if key not in old]
    return (*removed, *added)


_Permission = tuple[PermissionKind, str, Mapping[str, Any]]


def _keyed(template: Resolved, paths: Mapping[str, str]) -> dict[str, _Permission]:
    found = {}
    for logical_id, resource in template.resources.items():
        for kind, subject, rule in _permissions(logical_id, resource):
            key = json.dumps([kind, subject, rule], sort_keys=True)
            found[key] = (kind, ", ".join(paths.get(one, one) for one in subject), rule)
    return found


def _permissions(
    logical_id: str, resource: Mapping[str, Any]
) -> Iterator[tuple[PermissionKind, list[str], Mapping[str, Any]]]:
    """Yield what one resource permits, with the logical ids, or names, of what has the permission."""
    properties = resource.get("Properties")
    if not isinstance(properties, dict):
        return
    kind, own = resource["Type"], [logical_id]
    subject = (_holders(properties) or own) if kind in _POLICY_TYPES else own
    for statement in _statements(properties):
        yield PermissionKind.STATEMENT, subject, _normal(statement)
    for name in _MANAGED:
        for policy in _listed(properties.get(name)):
            yield PermissionKind.MANAGED_POLICY, subject, {"Policy": policy}
    if kind == "AWS::Lambda::Permission":
        yield PermissionKind.STATEMENT, own, _lambda_permission(properties)
    elif kind == "AWS::EC2::SecurityGroup":
        for name, direction in _RULES.items():
            for rule in _listed(properties.get(name)):
                yield PermissionKind(direction), own, rule if isinstance(rule, dict) else {"Rule": rule}
    elif kind.removeprefix("AWS::EC2::") in _RULES:
        direction = PermissionKind(_RULES[kind.removeprefix("AWS::EC2::")])
        rule = {key: value for key, value in properties.items() if key != "GroupId"}
        yield direction, _names(properties.get("GroupId")) or own, rule


def _statements(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of every policy in a value."""
    if isinstance(value, list):
        for item in value:
            yield from _statements(item)
    elif isinstance(value, dict):
        for statement in _listed(value.get("Statement")):
            if isinstance(statement, dict) and "Effect" in statement:
                yield statement
        for item in value.values():
            yield from _statements(item)


def _normal(statement: Mapping[str, Any]) -> dict[str, Any]:
    """Return a statement in one spelling: lists, sorted; its id left out."""
    normal = {key: value for key, value in statement.items() if key != "Sid"}
    for name in _LISTS:
        if name in normal:
            normal[name] = sorted(_listed(normal[name]), key=lambda value: json.dumps(value, sort_keys=True))
    return normal


def _lambda_permission(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statement that a permission becomes in the function's policy
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html).
    """
    conditions = {
        "SourceArn": ("ArnLike", "AWS:SourceArn"),
        "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
        "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
        "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    }
    condition: dict[str, dict[str, Any]] = {}
    for name, (operator, key) in conditions.items():
        if name in properties:
            condition.setdefault(operator, {})[key] = properties[name]
    statement = {
        "Effect": "Allow",
        "Principal": properties.get("Principal"),
        "Action": _listed(properties.get("Action")),
        "Resource": _listed(properties.get("FunctionName")),
    }
    return {**statement, "Condition": condition} if condition else statement


def _holders(properties: Mapping[str, Any]) -> list[str]:
    return [name for key in _HOLDERS for holder in _listed(properties.get(key)) for name in _names(holder)]


def _names(value: Any) -> list[str]:
    """Return the logical id that a value refers to, or the text that it is."""
    match value:
        case str():
            return [value]
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), *_]}:
            return [name]
    return []


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
