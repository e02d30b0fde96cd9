"""A plan as people read it: a tree of stacks, with permissions and what loses data before everything else."""

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from stagedoor.deploy.comparison.differences import ChangeAction, ResourceChange, ValueChange
from stagedoor.deploy.comparison.permissions import PermissionChange, PermissionKind
from stagedoor.deploy.comparison.refusals import printable
from stagedoor.deploy.comparison.resource_types.reading import Replacement
from stagedoor.deploy.decision import Action
from stagedoor.deploy.plan import Plan, StackPlan
from stagedoor.errors import UserError
from stagedoor.naming import BINDING_OUTPUT

_SIGNS = {
    ChangeAction.ADD: ("+", "green"),
    ChangeAction.MODIFY: ("~", "yellow"),
    ChangeAction.REMOVE: ("-", "red"),
    ChangeAction.IMPORT: ("<", "blue"),
}
_WORDS = {
    Action.CREATE: ("is created", "green"),
    Action.UPDATE: ("is updated", "yellow"),
    Action.HOTSWAP: ("is hotswapped", "yellow"),
    Action.RECREATE: ("is deleted and created anew", "red"),
    Action.CONTINUE: ("is rolled back and updated", "yellow"),
    Action.JOIN: ("is waited for", "yellow"),
    Action.UNCHANGED: ("is unchanged", "dim"),
    Action.DELETE: ("is deleted", "red"),
    Action.KEEP: ("is kept", "dim"),
}
_LONGEST = 120
"""Characters of a value that are shown; `--json` has all of it."""

_LONGEST_LINE = 1_000

_NOISE = "AWS::CDK::Metadata"
"""A resource that only counts which constructs an app uses."""


def plan_tree(plan: Plan) -> RenderableType:
    """Return the plan as a picture, what is refused below it; on anything but a terminal it prints as plain text."""
    return Group(*(_stack(stack) for stack in plan.stacks), *(_refusal(one) for one in plan.refusals))


def print_plan(plan: Plan) -> None:
    """Print the picture to stdout; where that is no terminal, in plain lines as long as they are."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _LONGEST_LINE
    console.print(plan_tree(plan))


def plan_text(plan: Plan) -> str:
    """Return the picture as plain text, in lines as long as they are."""
    text = io.StringIO()
    console = Console(highlight=False, width=_LONGEST_LINE, color_system=None, file=text, force_terminal=False)
    console.print(plan_tree(plan))
    return text.getvalue()


def _refusal(error: UserError) -> Text:
    return _line(("Refused: ", "bold red"), error.what, f" {error.remedy}", (f"  ({error.id})", "dim"))


def summary(plan: Plan) -> str:
    """Return in a sentence how much changes: `2 stacks change: 3 resources added, 1 modified, 1 replaced.`"""
    changes = [change for stack in plan.stacks for change in stack.difference.resources if change.type != _NOISE]
    tally = {
        "added": sum(change.action is ChangeAction.ADD for change in changes),
        "imported": sum(change.action is ChangeAction.IMPORT for change in changes),
        "modified": sum(
            change.action is ChangeAction.MODIFY and change.replacement is not Replacement.ALWAYS for change in changes
        ),
        "replaced": sum(change.replacement is Replacement.ALWAYS for change in changes),
        "removed": sum(change.action is ChangeAction.REMOVE for change in changes),
    }
    stacks = sum(stack.action not in (Action.UNCHANGED, Action.KEEP) for stack in plan.stacks)
    told = ", ".join(f"{number} {word}" for word, number in tally.items() if number)
    lost = sum(change.loses_data for change in changes)
    sentence = f"{stacks} stack{'s change' if stacks > 1 else ' changes'}" + (f"; resources: {told}." if told else ".")
    return sentence + (f" {lost} of them {'lose' if lost > 1 else 'loses'} data." if lost else "")


def _line(*parts: str | tuple[str, str]) -> Text:
    """Return a line of the tree. What comes of an app's template is written so that it cannot move the cursor."""
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


def _stack(stack: StackPlan) -> RenderableType:
    words, colour = _WORDS[stack.action]
    tree = Tree(_line((stack.name, "bold"), " ", (words, colour), (f": {stack.reason}", "dim")))
    changes = stack.difference
    _add(tree, "Permissions", [_permission(change) for change in stack.permissions])
    urgent = [change for change in changes.resources if change.loses_data]
    rest = [change for change in changes.resources if not change.loses_data and change.type != _NOISE]
    _add(tree, "Resources", [_resource(change) for change in (*urgent, *rest)])
    _add(tree, "Parameters", [_value(change) for change in changes.parameters])
    shown = [change for change in changes.outputs if not change.path.startswith(BINDING_OUTPUT)]
    _add(tree, "Outputs", [_value(change) for change in shown])
    return tree


def _add(tree: Tree, title: str, branches: list[Tree | Text]) -> None:
    if branches:
        branch = tree.add(Text(title, "bold"))
        branch.children += [found if isinstance(found, Tree) else Tree(found) for found in branches]


def _resource(change: ResourceChange) -> Tree:
    sign, colour = _SIGNS[change.action]
    tree = Tree(_line((f"{sign} ", colour), change.construct_path, (f"  {change.type}", "dim"), *_fate(change)))
    for one in change.properties:
        tree.add(_value(one))
    return tree


def _fate(change: ResourceChange) -> Iterator[tuple[str, str]]:
    if change.replacement is Replacement.ALWAYS:
        yield "  is replaced", "bold red"
    elif change.replacement is Replacement.MAYBE:
        yield "  may be replaced", "bold yellow"
    if change.loses_data:
        yield (", loses its data" if change.replacement is not Replacement.NEVER else "  loses its data"), "bold red"
    elif change.kept:
        yield "  the old one is kept" if change.action is ChangeAction.MODIFY else "  is kept in the account", "bold"
    if change.cause:
        yield f": {change.cause}", "dim"


def _value(change: ValueChange) -> Text:
    if change.cause:
        line = _line(f"{change.path}: {_shown(change.after)}", (f"  ({change.cause})", "dim"))
    elif change.before is None:
        line = _line(("+ ", "green"), f"{change.path}: {_shown(change.after)}")
    elif change.after is None:
        line = _line(("- ", "red"), f"{change.path}: {_shown(change.before)}")
    else:
        line = _line(("~ ", "yellow"), f"{change.path}: {_shown(change.before)} → {_shown(change.after)}")
    if change.replacement is Replacement.ALWAYS:
        line.append("  replaces", "red")
    elif change.replacement is Replacement.MAYBE:
        line.append("  may replace", "yellow")
    return line


def _permission(change: PermissionChange) -> Text:
    sign, colour = _SIGNS[change.action]
    return _line((f"{sign} ", colour), (change.subject, "bold"), f": {_rule(change)}")


def _rule(change: PermissionChange) -> str:
    rule = change.rule
    if change.kind is PermissionKind.MANAGED_POLICY:
        return f"managed policy {_shown(rule.get('Policy'))}"
    if change.kind is PermissionKind.STATEMENT:
        said = [str(rule.get("Effect", ""))]
        for word, name in (("", "Action"), ("all but", "NotAction"), ("on", "Resource"), ("on all but", "NotResource")):
            if name in rule:
                said += [*([word] if word else []), ", ".join(text_of(one) for one in rule[name])]
        for word, name in (("to", "Principal"), ("to all but", "NotPrincipal"), ("if", "Condition")):
            if name in rule:
                said += [word, _principal(rule[name]) if "Principal" in name else _shown(rule[name])]
        return " ".join(said)
    return f"{change.kind.value} {_traffic(rule)}"


def _principal(value: Any) -> str:
    """Return who a statement is for: `lambda.amazonaws.com` and not the kind of principal that it is."""
    values = value.values() if isinstance(value, dict) else [value]
    several = [one for named in values for one in (named if isinstance(named, list) else [named])]
    return ", ".join(text_of(one) for one in several)


def _traffic(rule: Mapping[str, Any]) -> str:
    """Return a security group's rule in short: `tcp 443 from 0.0.0.0/0`."""
    known = ("IpProtocol", "FromPort", "ToPort", "Description")
    protocol = {"-1": "all traffic"}.get(text_of(rule.get("IpProtocol", "-1")), text_of(rule.get("IpProtocol", "")))
    ports = " to ".join(dict.fromkeys(text_of(rule[name]) for name in ("FromPort", "ToPort") if name in rule))
    others = ", ".join(text_of(value) for name, value in rule.items() if name not in known)
    return " ".join(part for part in (protocol, ports, "with", others) if part)


def text_of(value: Any) -> str:
    """Return a worked-out value as one reads it: `${Bucket.Arn}/*` for what a function will make of it."""
    if isinstance(value, str):
        return value
    return _function_text(value) or json.dumps(_readable(value), ensure_ascii=False)


def _function_text(value: Any) -> str:
    """Return a function's result as one reads it; empty for what is none of the functions that are often met."""
    match value:
        case {"Ref": str(name)} if len(value) == 1:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"${{{name}.{attribute}}}"
        case {"Fn::ImportValue": str(name)}:
            return f"${{import {name}}}"
        case {"Fn::Join": [str(delimiter), list(parts)]}:
            return delimiter.join(text_of(part) for part in parts)
    return ""


def _readable(value: Any) -> Any:
    """Return a value with its functions as one reads them."""
    if isinstance(value, list):
        return [_readable(item) for item in value]
    if isinstance(value, dict):
        return _function_text(value) or {key: _readable(item) for key, item in value.items()}
    return value


def _shown(value: Any) -> str:
    text = text_of(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
