"""What CloudFormation would refuse for what is in the account: exports, full buckets, stack policies.

Calls are made only where their answer can matter, and each once a plan. For a stack without new or vanished exports
that keeps its buckets that is one: for its stack policy, and none when it is created. Where the identity may not ask,
or an emulator does not know the call, CloudFormation has the word.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import ClientError

from stagedoor.deploy.access import may_not_ask
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.comparison.differences import ChangeAction, StackDifference, references
from stagedoor.deploy.comparison.refusals import DuplicateExport, exports, imports, knows_exports, suspicions
from stagedoor.deploy.comparison.resolution import Comparison
from stagedoor.deploy.comparison.resource_types.reading import Replacement, version
from stagedoor.deploy.comparison.stack_policy import denied
from stagedoor.errors import UserError

_BUCKET = "AWS::S3::Bucket"
_EMPTIES_BUCKETS = "Custom::S3AutoDeleteObjects"

P = ParamSpec("P")
T = TypeVar("T")


class UnknownImport(UserError):
    """A stack imports a value that nothing exports."""

    id = "unknown-import"


class ExportInUse(UserError):
    """An export would vanish that another stack imports."""

    id = "export-in-use"


class BucketNotEmpty(UserError):
    """A bucket that holds objects would be deleted, which CloudFormation does not do."""

    id = "bucket-not-empty"


class DeniedByStackPolicy(UserError):
    """The stack's own policy does not let a resource be changed in this way."""

    id = "denied-by-stack-policy"


@dataclass(frozen=True, slots=True)
class StageStacks:
    """The stacks of a stage, as far as a plan looks at them: those that change, what those that stay export, and the
    names of all, those that go included. Nested stacks that change are among them. `disposable`: buckets are emptied by
    the deploy itself.
    """

    changing: Sequence[tuple[Comparison, StackDifference]]
    staying_exports: frozenset[str]
    names: frozenset[str]
    disposable: bool


def account_refusals(stage: StageStacks, clients: Clients, readers: Executor) -> list[UserError]:
    """Return what CloudFormation refuses of the stage's stacks for what is in the account, asked on several threads."""
    asked = [
        readers.submit(list, _export_refusals(stage, clients)),
        readers.submit(list, _import_refusals(stage, clients)),
        readers.submit(list, _unknown(stage, clients)),
        *(readers.submit(list, _stack_refusals(stage, clients, pair)) for pair in stage.changing),
    ]
    return [error for found in asked for error in found.result()]


def _stack_refusals(
    stage: StageStacks, clients: Clients, pair: tuple[Comparison, StackDifference]
) -> Iterator[UserError]:
    if pair[0].actual is not None:
        if not pair[0].inside:  # the parent's policy is for its own resources, and a nested stack has none
            yield from _policy_refusals(*pair, clients)
        if not stage.disposable:
            yield from _bucket_refusals(*pair, clients)


def _export_refusals(stage: StageStacks, clients: Clients) -> Iterator[UserError]:
    """Yield an error for each new export whose name is taken, and each import of a name that nothing exports."""
    own = stage.staying_exports.union(*(exports(comparison.after) for comparison, _ in stage.changing))
    new = [(pair[0], name) for pair in stage.changing for name in exports(pair[0].after) if name not in _had(pair[0])]
    foreign = [(pair[0], name) for pair in stage.changing for name in imports(pair[0].after) if name not in own]
    if not all(knows_exports(comparison.after) for comparison, _ in stage.changing):
        foreign = []  # one of the names that the deploy makes up may be what is imported
    if not new and not foreign:
        return
    taken = _asked(_read_exports, clients)
    if taken is None:
        return
    for comparison, name in new:
        holder = taken.get(name, "").split("/")[1:2]
        if holder and holder != [comparison.stack.name]:
            yield DuplicateExport(
                f"The stack {comparison.stack.name} exports {name!r}, which {holder[0]} exports already.",
                "Give the output another export name. To move an export to another stack, deploy once without it.",
            )
    for comparison, name in foreign:
        if name not in taken:
            yield UnknownImport(
                f"The stack {comparison.stack.name} imports {name!r}, which nothing in the account and region exports.",
                "Deploy what exports it first, or correct the name.",
            )


def _had(comparison: Comparison) -> Sequence[str]:
    return comparison.actual.exports if comparison.actual else ()


def _read_exports(clients: Clients) -> dict[str, str]:
    """Return the ARN of the exporting stack by each export's name."""
    pages = clients.cloudformation.get_paginator("list_exports").paginate()
    return {one["Name"]: one["ExportingStackId"] for page in pages for one in page["Exports"]}


def _import_refusals(stage: StageStacks, clients: Clients) -> Iterator[UserError]:
    """Yield an error for each export that vanishes while a stack imports it. Importers of the stage that no longer want
    it are no obstacle: the export is kept for one more deploy, unless it is a nested stack's.
    """
    wanting = {comparison.stack.name: imports(comparison.after) for comparison, _ in stage.changing}
    for comparison, _ in stage.changing:
        gone = set(_had(comparison)).difference(exports(comparison.after)) if knows_exports(comparison.after) else ()
        for name in sorted(gone):
            importers = _asked(_read_imports, name, clients) or []
            lets_go = stage.names.difference(one for one in importers if name in wanting.get(one, ()))
            hindering = importers if comparison.inside else [one for one in importers if one not in lets_go]
            if hindering:
                yield ExportInUse(
                    f"The stack {comparison.stack.name} no longer exports {name!r}, which {', '.join(hindering)} "
                    f"import{'s' if len(hindering) == 1 else ''}.",
                    "Keep the output (`stack.export_value(…)`) until no stack imports it any more.",
                )


def _read_imports(name: str, clients: Clients) -> list[str]:
    """Return the names of the stacks that import an export."""
    try:
        pages = clients.cloudformation.get_paginator("list_imports").paginate(ExportName=name)
        return [importer for page in pages for importer in page.get("Imports", [])]
    except ClientError as error:
        if "is not imported" in error.response["Error"].get("Message", ""):
            return []
        raise


def _policy_refusals(comparison: Comparison, difference: StackDifference, clients: Clients) -> Iterator[UserError]:
    written = [
        change
        for change in difference.resources
        if change.action is ChangeAction.REMOVE or any(not one.cause for one in change.properties)
    ]
    if not written or comparison.actual is None:
        return
    body = _asked(_read_policy, comparison.actual.arn, clients)
    for change, action in denied(json.loads(body), written) if body else ():
        yield DeniedByStackPolicy(
            f"The policy of the stack {comparison.stack.name} does not allow {action} of {change.construct_path} "
            f"({change.type}).",
            "Leave the resource as it is, or have the stack's policy changed by whoever set it.",
        )


def _read_policy(arn: str, clients: Clients) -> str:
    return clients.cloudformation.get_stack_policy(StackName=arn).get("StackPolicyBody", "")


def _bucket_refusals(comparison: Comparison, difference: StackDifference, clients: Clients) -> Iterator[UserError]:
    emptied = {
        name
        for resource in comparison.before.resources.values()
        if resource["Type"] == _EMPTIES_BUCKETS
        for name, _ in references(resource.get("Properties"))
    }
    for change in difference.resources:
        goes = change.action is ChangeAction.REMOVE or change.replacement is Replacement.ALWAYS
        if change.type == _BUCKET and goes and not change.kept and change.logical_id not in emptied:
            bucket = _asked(_physical_id, comparison, change.logical_id, clients)
            if bucket and _asked(_holds_objects, bucket, clients):
                yield BucketNotEmpty(
                    f"{change.construct_path} is {'removed' if change.action is ChangeAction.REMOVE else 'replaced'}, "
                    f"and its bucket {bucket} holds objects; CloudFormation deletes empty buckets only.",
                    "Empty the bucket, keep it (`RemovalPolicy.RETAIN`), or deploy `auto_delete_objects=True` first.",
                )


def _physical_id(comparison: Comparison, logical_id: str, clients: Clients) -> str:
    stack = comparison.actual.arn if comparison.actual else comparison.stack.name
    detail = clients.cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return detail["StackResourceDetail"].get("PhysicalResourceId", "")


def _holds_objects(bucket: str, clients: Clients) -> bool:
    page = clients.client("s3", Phase.DEPLOY).list_object_versions(Bucket=bucket, MaxKeys=1)
    return bool(page.get("Versions") or page.get("DeleteMarkers"))


def _unknown(stage: StageStacks, clients: Clients) -> Iterator[UserError]:
    """Yield the errors of those suspicions that CloudFormation's registry, which is newer than our table, shares."""
    found = [one for comparison, _ in stage.changing for one in suspicions(comparison)]
    for kind in dict.fromkeys(one.type for one in found):
        schema = _asked(_read_schema, kind, clients)
        for suspicion in (one for one in found if one.type == kind):
            if schema is None:
                more = f" If it is newer than {version()} of AWS's specification, allow cloudformation:DescribeType."
                yield type(suspicion.error)(suspicion.error.what, suspicion.error.remedy + more)
            elif suspicion.stands(schema):
                yield suspicion.error


def _read_schema(kind: str, clients: Clients) -> Mapping[str, Any]:
    schema: Mapping[str, Any] = json.loads(
        clients.cloudformation.describe_type(Type="RESOURCE", TypeName=kind).get("Schema", "{}")
    )
    return schema


def _asked(question: Callable[P, T], *about: P.args, **more: P.kwargs) -> T | None:
    """Return the answer; None where the identity may not ask, or what answers does not know the question."""
    try:
        return question(*about, **more)
    except ClientError as error:
        if may_not_ask(error):
            return None
        raise
