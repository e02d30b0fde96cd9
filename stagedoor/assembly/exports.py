"""Exports of the app's stacks and the places that import them.

An export's name is unique in an account and region, so each stage gets names of its own: the prefix, a hyphen, and the
name that the export would have had. A name may be put together by functions; it is worked out under the app's own stack
names and replaced by its text, at both ends; one that only the account knows is joined to the prefix, wherever the app
writes the same. What the app does not export itself (shared infrastructure) is imported
under the name that it has. `Fn::GetStackOutput` names a stack instead of an export.
Rule: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from stagedoor.assembly.expressions import Scope, Unresolved, evaluate
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import section, with_functions

EXPORT_NAME_LIMIT = 255


def export_name(name: str, prefix: str) -> str:
    """Return what a stage with this prefix calls the export that the app calls `name`."""
    full = f"{prefix}-{name}"
    if len(full) <= EXPORT_NAME_LIMIT:
        return full
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{full[: EXPORT_NAME_LIMIT - len(digest) - 1]}-{digest}"


def exported_names(template: Template, scope: Scope) -> Iterator[tuple[str, str | Unresolved]]:
    """Yield each output that is exported and the name that it is exported under."""
    for logical_id, output in section(template, "Outputs").items():
        export = output.get("Export") if isinstance(output, dict) else None
        if isinstance(export, dict) and "Name" in export:
            yield logical_id, evaluate(export["Name"], scope)


def export_keys(template: Template, scope: Scope) -> Iterator[str]:
    """Yield what marks an import as one of the app's own: an export's name, or its expression where that is all."""
    for logical_id, name in exported_names(template, scope):
        if isinstance(name, str):
            yield name
        elif name is Unresolved.UNKNOWN:
            yield _written(section(template, "Outputs")[logical_id]["Export"]["Name"])


def _written(expression: Any) -> str:
    return json.dumps(expression, sort_keys=True)


def _prefixed(expression: Any, prefix: str) -> Any:
    return {"Fn::Join": ["-", [prefix, expression]]}


def with_own_exports(template: Template, scope: Scope, prefix: str, stack_names: Mapping[str, str]) -> Template:
    """Return the template with its exports, imports of the app's own exports and `Fn::GetStackOutput`s renamed.

    `stack_names` maps the names that the app gave its stacks to the stage's.
    """
    outputs = dict(section(template, "Outputs"))
    for logical_id, name in exported_names(template, scope):
        if name is not Unresolved.OWN:
            export = outputs[logical_id]["Export"]
            own = export_name(name, prefix) if isinstance(name, str) else _prefixed(export["Name"], prefix)
            outputs[logical_id] = {**outputs[logical_id], "Export": {**export, "Name": own}}
    renamed = {**template, "Outputs": outputs} if outputs else template

    def imported(argument: Any) -> Any:
        name = evaluate(argument, scope)
        if name is Unresolved.UNKNOWN and _written(argument) in scope.exported:
            return _prefixed(argument, prefix)
        return export_name(name, prefix) if isinstance(name, str) and name in scope.exported else argument

    def output_of(argument: Any) -> Any:
        stack = evaluate(argument.get("StackName"), scope) if isinstance(argument, dict) else Unresolved.UNKNOWN
        return (
            {**argument, "StackName": stack_names[stack]}
            if isinstance(stack, str) and stack in stack_names
            else argument
        )

    renamed = with_functions(renamed, "Fn::ImportValue", imported)
    result: Template = with_functions(renamed, "Fn::GetStackOutput", output_of)
    return result
