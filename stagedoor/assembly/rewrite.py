"""Rewrite an assembly for one stage: the same app, under names, tags and places of the stage's own.

Each class of reference has a module of its own, pure functions from template to template: `target_names.py`,
`exports.py`, `cross_region.py`, `physical_names.py`, `retention.py`, `boundary.py`; `template_tree.py` follows nested
stacks. What none of them can make safe is reported, or refused where a second stage would fail or share a resource
(`findings.py`). `docs/assembly.md` has the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stagedoor.assembly.boundary import with_boundary
from stagedoor.assembly.bridged_functions import BridgedFunction
from stagedoor.assembly.cross_region import with_own_parameters
from stagedoor.assembly.exports import export_keys, export_name, with_own_exports
from stagedoor.assembly.expressions import Scope, Unresolved
from stagedoor.assembly.findings import Rewriting, fixed_name_findings, other_findings, refuse_fixed_names
from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Rewritten, Stack, Template
from stagedoor.assembly.physical_names import generated_names
from stagedoor.assembly.retention import with_disposable_data
from stagedoor.assembly.schema import UNKNOWN_REGION
from stagedoor.assembly.target_names import (
    assets_bucket,
    image_repository,
    resolved,
    with_target_names,
    with_target_places,
    with_whole_words,
)
from stagedoor.assembly.template_tree import TemplateTree, load_tree, sealed
from stagedoor.assembly.writer import copy_asset, file_stem, template_bytes, write_manifests
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity
from stagedoor.target import Target

if TYPE_CHECKING:
    from stagedoor.assembly.bridging.model import Bridges

Trees = Mapping[str, TemplateTree]
"""The templates of each stack, by the stack's id."""


class DuplicateStackName(UserError):
    """Two stacks of the app that have one name; in one account and region there can be only one of them."""

    id = "duplicate-stack-name"


def rewrite_assembly(
    assembly: Assembly, identity: StageIdentity, target: Target, output: Path, bridges: "Bridges | None" = None
) -> Rewritten:
    """Write the stage's own assembly into `output`, a directory that is empty or not there yet, and return it.

    The assembly must have been inspected. What is written is an assembly by itself, assets included, and follows from
    the arguments alone. With `bridges` its functions are made live where they can be.
    Raises `DuplicateStackName`, `StackNameTooLong` and, for a disposable stage, `FixedPhysicalName`; nothing is written
    then.
    """
    original = {
        stack.id: load_tree(assembly.directory, stack, _beside(stack, target)).in_scope(
            stack.own_name, stack.parameters, frozenset()
        )
        for stack in assembly.stacks
    }
    generated = {} if identity.adopted else _generated(assembly, original, identity)
    rewriting = Rewriting(identity, _stack_names(assembly, identity), generated)
    trees = _rewritten(assembly, original, rewriting, target)
    functions: tuple[BridgedFunction, ...] = ()
    if bridges is not None:
        # Only here: most stages have no live functions, and do not wait for what makes functions live to load.
        from stagedoor.assembly.bridging.bridged import with_bridges

        trees, functions = with_bridges(assembly.stacks, trees, bridges)
    fixed = [found for stack in assembly.stacks for found in fixed_name_findings(stack, trees[stack.id], rewriting)]
    if identity.disposable:
        refuse_fixed_names(fixed, identity)
    others = [found for stack in assembly.stacks for found in other_findings(stack, trees[stack.id], rewriting)]
    output.mkdir(parents=True, exist_ok=True)
    if any(output.iterdir()):
        raise FileExistsError(f"{output} is not empty")
    write = _Writing(assembly.directory, output.resolve(), identity, target, bridges)
    stacks = tuple(write.stack(stack, trees[stack.id]) for stack in assembly.stacks)
    rewritten = Assembly(write.output, stacks, assembly.missing_context)
    write_manifests(rewritten)
    return Rewritten(rewritten, (*fixed, *others), functions)


def _beside(stack: Stack, target: Target) -> Target:
    """Return the target as it is in the stack's own region, where the stack names one."""
    return target if stack.region in (target.region, UNKNOWN_REGION) else replace(target, region=stack.region)


def _stack_names(assembly: Assembly, identity: StageIdentity) -> dict[str, str]:
    names: dict[str, str] = {}
    for stack in assembly.stacks:
        if stack.own_name in names:
            raise DuplicateStackName(
                f"Two stacks of the app are called {stack.own_name!r}.", "Give each stack a `stack_name` of its own."
            )
        names[stack.own_name] = identity.stack_name(stack.own_name)
    return names


def _generated(assembly: Assembly, trees: Trees, identity: StageIdentity) -> dict[str, str]:
    names: dict[str, str] = {}
    for stack in assembly.stacks:
        for part in trees[stack.id].all():
            names |= generated_names(part.template, part.scope, identity.prefix, stack)
    return names


def _rewritten(assembly: Assembly, original: Trees, rewriting: Rewriting, target: Target) -> dict[str, TemplateTree]:
    """Return each stack's templates as the stage has them, in scopes where what is the stage's own is known as such."""
    prefix = rewriting.identity.prefix
    parts = [part for tree in original.values() for part in tree.all()]
    exported = frozenset(key for part in parts for key in export_keys(part.template, part.scope))
    own_exports = frozenset(export_name(name, prefix) for name in exported) if prefix else exported
    trees = {}
    for stack in assembly.stacks:
        tree = original[stack.id].in_scope(stack.own_name, stack.parameters, exported)
        tree = tree.changed(_Change(stack, rewriting, _beside(stack, target)))
        trees[stack.id] = tree.in_scope(Unresolved.OWN, stack.parameters, own_exports)
    return trees


class _Change:
    """All that rewriting does to one template of `stack`."""

    def __init__(self, stack: Stack, rewriting: Rewriting, target: Target) -> None:
        self._assets = stack.assets
        self._rewriting = rewriting
        self._target = target

    def __call__(self, template: Template, scope: Scope) -> Template:
        identity, names = self._rewriting.identity, self._rewriting.stack_names
        template = with_target_names(template, self._assets, self._target)
        template = with_boundary(template, self._target.permissions_boundary)
        if not identity.adopted:
            template = with_whole_words(template, self._rewriting.generated)
            template = with_own_exports(template, scope, identity.prefix, names)
            template = with_own_parameters(template, names, identity.prefix)
        return with_disposable_data(template) if identity.disposable else template


@dataclass(frozen=True, slots=True)
class _Writing:
    """Where a stage's assembly comes from and goes to."""

    source: Path
    output: Path
    identity: StageIdentity
    target: Target
    bridges: "Bridges | None"

    def stack(self, stack: Stack, tree: TemplateTree) -> Stack:
        """Write a stack's templates and assets and return the stack as it is then."""
        target = _beside(stack, self.target)
        template, nested = sealed(tree)
        path = self.output / f"{file_stem(stack.id)}.template.json"
        path.write_bytes(template_bytes(template))
        replaced = {part.asset.claimed_hash for part in tree.all() if part.asset is not None}
        kept = [asset for asset in stack.assets if asset.claimed_hash not in replaced]
        files = [asset for asset in stack.assets if isinstance(asset, FileAsset)]
        return replace(
            stack,
            name=self.identity.stack_name(stack.own_name),
            template_path=path,
            account=target.account,
            region=target.region,
            parameters=with_target_places(stack.parameters, files, target),
            tags={**stack.tags, **self.identity.tags()},
            termination_protection=stack.termination_protection and not self.identity.disposable,
            assets=(
                *(_in_target(asset, target, copy_asset(asset, self.source, self.output)) for asset in kept),
                *(_in_target(asset, target, self._nested(asset, data)) for asset, data in nested.values()),
                *self._bridge(tree, target),
            ),
        )

    def _bridge(self, tree: TemplateTree, target: Target) -> tuple[FileAsset, ...]:
        if self.bridges is None:
            return ()
        from stagedoor.assembly.bridging.bridged import bridge_asset, needs_archive

        if not needs_archive(tree):
            return ()
        path = self.output / "assets" / "stagedoor-bridge.zip"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(self.bridges.archive)
        return (bridge_asset(self.bridges, path, target),)

    def _nested(self, asset: FileAsset, data: bytes) -> Path:
        path = self.output / f"{asset.claimed_hash}.nested.template.json"
        path.write_bytes(data)
        return path


def _in_target(asset: FileAsset | DockerImageAsset, target: Target, source: Path) -> FileAsset | DockerImageAsset:
    if isinstance(asset, FileAsset):
        return replace(asset, source=source, bucket=assets_bucket(target), key=resolved(asset.key, target))
    return replace(asset, source=source, repository=image_repository(target), tag=resolved(asset.tag, target))
