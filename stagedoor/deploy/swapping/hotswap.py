"""What of a stack can be changed without CloudFormation: the code and configuration of functions, and state machines.

`find_swap` is the whole decision, a pure function of the template that CloudFormation has, the one that is wanted, and
the drift that earlier hotswaps left. The stack goes one way as a whole: when anything else differs, or one value cannot
be told from what the account says, it goes by CloudFormation. So does a change that could not be taken back the same
way. Taking back is a swap as well: to the template that CloudFormation has.

The version that CDK's `currentVersion` makes of a function gets another logical id with each change. It follows its
function: a version is published, and the aliases that stood for the old one stand for it.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.expressions import Scope
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of, resources, section
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.swapping.drift import RECORD_LIMIT, Drift, digest
from stagedoor.deploy.swapping.references import Unresolvable, resolve, scope_in_account

FUNCTION = "AWS::Lambda::Function"
STATE_MACHINE = "AWS::StepFunctions::StateMachine"
_VERSION = "AWS::Lambda::Version"
_ALIAS = "AWS::Lambda::Alias"
_CDK_METADATA = "AWS::CDK::Metadata"

CODE = "Code"
VERSION = "Version"
DEFINITION = "DefinitionString"
VARIABLE = "Environment."
"""What the path of an environment variable begins with; each is swapped for itself, as its neighbours may hold what
only CloudFormation can tell."""

_SETTINGS = ("Description", "EphemeralStorage", "Handler", "Layers", "MemorySize", "Runtime", "Timeout")
_CODE_KEYS = frozenset({"S3Bucket", "S3Key", "S3ObjectVersion", "ZipFile", "ImageUri"})
_REQUIRED = ("Handler", "Runtime")
_INLINE_EXTRAS = ("cfnresponse", "cfn-response")
"""Modules that CloudFormation alone puts beside inline code
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html)."""


@dataclass(frozen=True, slots=True)
class NotSwappable:
    """Why a stack goes by CloudFormation, in words that a person reads in the plan."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResourceSwap:
    """What is to be changed of one resource.

    `wanted` maps paths to expressions, None where the property is left out. `aliases` are the logical ids of those that
    follow a function's version. `drift` is what the resource's drift is once that is done.
    """

    logical_id: str
    type: str
    wanted: Mapping[str, Any]
    drift: Mapping[str, str]
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Swap:
    """What is to be changed of a stack that has the template `deployed`; without resources, all is as wanted."""

    deployed: Template
    resources: tuple[ResourceSwap, ...] = ()

    @property
    def reason(self) -> str:
        """What changes, in words that a person reads in the plan."""
        changes = [f"{resource.logical_id} ({', '.join(resource.wanted)})" for resource in self.resources]
        return f"only what can be hotswapped changes: {', '.join(changes)}"


def find_swap(deployed: Template, wanted: Template, drift: Drift, actual: ActualStack) -> Swap | NotSwappable:
    """Return what takes the stack from what it is to `wanted` without CloudFormation, or why that cannot be.

    `deployed` is the template that CloudFormation has and `drift` what differs from it by now.
    """
    if drift.failed:
        return NotSwappable("a hotswap of it failed")
    if difference := _first_difference(_rest(deployed), _rest(wanted)):
        return NotSwappable(difference)
    # Only whether a value can be told is asked here, not what it is: that is read when the swap is made.
    scope = scope_in_account(wanted, actual, {logical_id: logical_id for logical_id, _ in resources(wanted)})
    swaps = _swaps(deployed, wanted, drift)
    for swap in swaps:
        before = dict(_paths(deployed, swap.logical_id))
        if problem := _problem(swap, before, scope):
            return NotSwappable(problem)
    after = drift
    for swap in swaps:
        after = after.with_resource(swap.logical_id, swap.drift)
    if len(after.record) > RECORD_LIMIT:
        return NotSwappable("more changes than a hotswap keeps a record of")
    return Swap(deployed, swaps)


def find_restoration(deployed: Template, drift: Drift, actual: ActualStack) -> Swap:
    """Return what makes the stack again what CloudFormation takes it to be.

    What cannot be told any more is left out: it could be when it was swapped, so the template has changed there since,
    and CloudFormation set it then. So is what the template no longer has.
    """
    scope = scope_in_account(deployed, actual, {logical_id: logical_id for logical_id, _ in resources(deployed)})
    swaps = []
    for swap in _swaps(deployed, deployed, drift):
        wanted = {path: value for path, value in swap.wanted.items() if not _untellable(path, value, scope)}
        if wanted:
            swaps.append(ResourceSwap(swap.logical_id, swap.type, wanted, {}, swap.aliases))
    return Swap(deployed, tuple(swaps))


def _swaps(deployed: Template, wanted: Template, drift: Drift) -> tuple[ResourceSwap, ...]:
    swaps = []
    for logical_id, resource in resources(wanted):
        before, after = dict(_paths(deployed, logical_id)), dict(_paths(wanted, logical_id))
        drifted = drift.swapped.get(logical_id, {})
        changed = {}
        for path in {**before, **after, **drifted}:
            now = drifted.get(path, digest(before.get(path)))
            if now != digest(after.get(path)):
                changed[path] = after.get(path)
        if changed:
            left = {**drifted, **{path: digest(value) for path, value in changed.items()}}
            left = {path: value for path, value in left.items() if value != digest(before.get(path))}
            aliases = tuple(_aliases_of(wanted, logical_id)) if VERSION in changed else ()
            swaps.append(ResourceSwap(logical_id, resource["Type"], changed, left, aliases))
    return tuple(swaps)


def _paths(template: Template, logical_id: str) -> Iterator[tuple[str, Any]]:
    """Yield what can be swapped of a resource, by path."""
    resource = section(template, "Resources").get(logical_id, {})
    properties = properties_of(resource)
    if resource.get("Type") == STATE_MACHINE:
        yield from ((path, properties[path]) for path in (DEFINITION,) if path in properties)
    if resource.get("Type") != FUNCTION:
        return
    yield from ((path, properties[path]) for path in (CODE, *_SETTINGS) if path in properties)
    yield from ((VARIABLE + name, value) for name, value in _variables(properties).items())
    if version := _versions(template).get(logical_id):
        yield VERSION, version


def _variables(properties: Mapping[str, Any]) -> dict[str, Any]:
    environment = properties.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    return variables if isinstance(variables, dict) and not any(key.startswith("Fn::") for key in variables) else {}


def _problem(swap: ResourceSwap, before: Mapping[str, Any], scope: Scope) -> str:
    """Return why a resource cannot be swapped, or not back; empty when it can."""
    for path, value in swap.wanted.items():
        for one in (value, before.get(path)):
            if _untellable(path, one, scope):
                return f"what {swap.logical_id}.{path} refers to is known to CloudFormation alone"
            if path in _REQUIRED and one is None:
                return f"{swap.logical_id}.{path} cannot be taken away"
            if path == CODE and not _is_code(one):
                return f"{swap.logical_id} has its code where only CloudFormation can take it from"
    return ""


def _untellable(path: str, value: Any, scope: Scope) -> bool:
    if path == VERSION:
        return value is None
    try:
        resolve(value, scope)
    except Unresolvable:
        return True
    return False


def _is_code(code: Any) -> bool:
    if not isinstance(code, dict) or not code.keys() <= _CODE_KEYS:
        return False
    inline = code.get("ZipFile", "")
    return isinstance(inline, str) and not any(module in inline for module in _INLINE_EXTRAS)


def _versions(template: Template) -> dict[str, str]:
    """Return the logical id of each function's version, of functions that have exactly one."""
    found: dict[str, list[str]] = {}
    for logical_id, resource in resources(template):
        properties = properties_of(resource)
        match properties.get("FunctionName"):
            case {"Ref": str(function)} if resource["Type"] == _VERSION:
                # Provisioned concurrency belongs to a version by number; a new one would be without.
                if "ProvisionedConcurrencyConfig" not in properties:
                    found.setdefault(function, []).append(logical_id)
    return {function: ids[0] for function, ids in found.items() if len(ids) == 1}


def _aliases_of(template: Template, function: str) -> Iterator[str]:
    version = _versions(template).get(function)
    for logical_id, resource in resources(template):
        if resource["Type"] == _ALIAS and _version_in(properties_of(resource)) == version:
            yield logical_id


def _version_in(alias: Mapping[str, Any]) -> str | None:
    match alias.get("FunctionVersion"):
        case {"Fn::GetAtt": [str(version), "Version"]} | {"Fn::GetAtt": str(version)}:
            return version.removesuffix(".Version")
    return None


def _rest(template: Template) -> Template:
    """Return the template without what can be swapped, and without CDK's own notes. Two templates whose rests are the
    same differ in nothing else.
    """
    rest = copy.deepcopy(template)
    functions = {version: function for function, version in _versions(template).items()}
    found: dict[str, Any] = {}
    for logical_id, resource in section(rest, "Resources").items():
        if not isinstance(resource, dict):
            found[logical_id] = resource
            continue
        _strip_notes(resource)
        properties = properties_of(resource)
        match resource.get("Type"):
            case "AWS::Lambda::Function":
                _strip_function(properties)
            case "AWS::StepFunctions::StateMachine" if "DefinitionSubstitutions" not in properties:
                properties.pop(DEFINITION, None)
            case "AWS::Lambda::Alias" if _version_in(properties) in functions:
                properties["FunctionVersion"] = {"the version of": functions[_version_in(properties) or ""]}
            case "AWS::Lambda::Version" if logical_id in functions:
                found[f"the version of {functions[logical_id]}"] = resource
                continue
            case "AWS::CDK::Metadata":
                resource.pop("Properties", None)
        found[logical_id] = resource
    return {**rest, "Resources": found}


def _strip_notes(resource: dict[str, Any]) -> None:
    """Take away what CDK notes for its own tools (`aws:cdk:path`, `aws:asset:path`); AWS does nothing by it."""
    metadata = resource.get("Metadata")
    if isinstance(metadata, dict):
        left = {key: value for key, value in metadata.items() if not key.startswith("aws:")}
        resource["Metadata"] = left
        if not left:
            del resource["Metadata"]


def _strip_function(properties: dict[str, Any]) -> None:
    for path in (CODE, *_SETTINGS):
        properties.pop(path, None)
    if _variables(properties) and properties["Environment"].keys() == {"Variables"}:
        del properties["Environment"]


def _first_difference(before: Template, after: Template) -> str:
    """Return in words the first thing in which two templates differ; empty when they do not."""
    for name in {**before, **after}:
        if name != "Resources" and before.get(name) != after.get(name):
            return f"its {name} change"
    old, new = section(before, "Resources"), section(after, "Resources")
    for logical_id in {**old, **new}:
        if logical_id not in old:
            return f"{logical_id}{_type_of(new[logical_id])} is new"
        if logical_id not in new:
            return f"{logical_id}{_type_of(old[logical_id])} is not wanted any more"
        if old[logical_id] != new[logical_id]:
            return f"{logical_id}{_type_of(new[logical_id])} changes in what cannot be hotswapped"
    return ""


def _type_of(resource: Any) -> str:
    return f" ({resource['Type']})" if isinstance(resource, dict) and "Type" in resource else ""
