"""What a person should know about a rewritten assembly, in words; and what of it no preview can live with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stagedoor.assembly.leftovers import stack_literals, unknown_nested_stacks, unseen_resources
from stagedoor.assembly.model import Finding, Stack
from stagedoor.assembly.named_types import ATTACHED
from stagedoor.assembly.physical_names import FixedName, fixed_names
from stagedoor.assembly.retention import account_wide, retained
from stagedoor.assembly.template import construct_paths_of
from stagedoor.assembly.template_tree import TemplateTree
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity

_STAGE_HINT = "(environment STAGEDOOR_STAGE, context `stagedoor:stage`)"


class FixedPhysicalName(UserError):
    """Resources of a preview that have the same name in every stage, so that only one stage could have them."""

    id = "fixed-physical-name"


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What a stage calls the app's stacks, and the names that were made its own."""

    identity: StageIdentity
    stack_names: Mapping[str, str]
    generated: Mapping[str, str] = field(default_factory=dict)


def fixed_name_findings(stack: Stack, tree: TemplateTree, rewriting: Rewriting) -> Iterator[Finding]:
    """Yield a finding for each name that two stages would both claim; an adopted stage is the one that has them."""
    if rewriting.identity.adopted:
        return
    own = frozenset(rewriting.generated.values())
    for part in tree.all():
        for fixed in fixed_names(part.template, part.scope, rewriting.identity, own):
            yield _finding(stack, part, fixed.logical_id, _fixed_words(fixed), _fixed_remedy(fixed))


def refuse_fixed_names(findings: list[Finding], identity: StageIdentity) -> None:
    """Raise `FixedPhysicalName` that lists all of them, if there are any."""
    if not findings:
        return
    several = f"{len(findings)} resources have names" if len(findings) > 1 else "A resource has a name"
    raise FixedPhysicalName(
        f"{several} that each stage would claim, and {identity.stage} is not the only one: "
        + ", ".join(finding.construct_path for finding in findings[:3])
        + (", …" if len(findings) > 3 else "."),
        f"Leave such a name out, or build it from the stage {_STAGE_HINT}.",
        detail="\n".join(f"{finding.construct_path}: {finding.what} {finding.remedy}" for finding in findings),
    )


def other_findings(stack: Stack, tree: TemplateTree, rewriting: Rewriting) -> Iterator[Finding]:
    """Yield everything else that rewriting had to leave as it is."""
    for part in tree.all():
        if not rewriting.identity.adopted:
            yield from _literals(stack, part, rewriting)
        yield from _unclear(stack, part)
        if rewriting.identity.disposable:
            yield from _retained(stack, part)


def _literals(stack: Stack, part: TemplateTree, rewriting: Rewriting) -> Iterator[Finding]:
    for logical_id, path, name in stack_literals(part.template, rewriting.stack_names, rewriting.identity.prefix):
        yield _finding(
            stack,
            part,
            logical_id,
            f"{path} holds the stack's name {name!r} as text; in this stage the stack is called "
            f"{rewriting.stack_names[name]!r}.",
            "Write `Aws.STACK_NAME` where the stack's own name is meant, or pass what is needed as a reference.",
        )


def _unclear(stack: Stack, part: TemplateTree) -> Iterator[Finding]:
    for logical_id in unknown_nested_stacks(part.template, part.nested):
        what = "The template of this nested stack is not in the assembly, so it is deployed as it is."
        yield _finding(stack, part, logical_id, what, "Use `NestedStack` or `CfnInclude`, which bring it along.")
    for logical_id, kind in unseen_resources(part.template):
        what = f"What this {kind} makes, or changes in other resources, is deployed as it is."
        yield _finding(stack, part, logical_id, what, "See that none of them has a fixed name.")


def _retained(stack: Stack, part: TemplateTree) -> Iterator[Finding]:
    singletons = account_wide(part.template)
    for logical_id, type_name in retained(part.template):
        if logical_id in singletons:
            what = f"{type_name} is a setting of the whole account and region; it stays when the stage is removed."
            remedy = "Set `cloud_watch_role=False` on the REST API, and the setting once for the account."
        else:
            what = f"{type_name} is retained: it stays when the stage is removed."
            remedy = "Give it `RemovalPolicy.DESTROY` in previews, if it is the stage's own."
        yield _finding(stack, part, logical_id, what, remedy)


def _fixed_words(fixed: FixedName) -> str:
    harm = ", and each would overwrite the others' there" if fixed.type in ATTACHED else ""
    if fixed.name is None:
        return (
            f"{fixed.property} of this {fixed.type} cannot be told beforehand; it may be the same in every stage{harm}."
        )
    return f"{fixed.property} of this {fixed.type} is {fixed.name!r} in every stage{harm}."


def _fixed_remedy(fixed: FixedName) -> str:
    if fixed.type in ATTACHED:
        return "Leave it to the app that owns what it is for, or let each stage have one of its own."
    return f"Leave {fixed.property} out, or build it from the stage {_STAGE_HINT}."


def _finding(stack: Stack, part: TemplateTree, logical_id: str, what: str, remedy: str) -> Finding:
    # The manifest knows the paths of nested stacks' constructs too, should the templates hold none.
    paths = {**stack.construct_paths, **construct_paths_of(part.template)}
    path = paths.get(logical_id, f"{stack.display_name}/{logical_id}")
    return Finding(stack.id, logical_id, path, what, remedy)
