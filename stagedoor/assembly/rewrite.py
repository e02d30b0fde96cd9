"""Rewrite an assembly for one stage: the same app, under names, tags and places of the stage's own."""

from dataclasses import replace
from pathlib import Path

from stagedoor.assembly.documents import read_document
from stagedoor.assembly.model import Assembly, FileAsset, Rewritten, Stack
from stagedoor.assembly.target_names import assets_bucket, resolved
from stagedoor.assembly.writer import copy_asset, file_stem, template_bytes, write_manifests
from stagedoor.naming import StageIdentity
from stagedoor.target import Target


def rewrite_assembly(assembly: Assembly, identity: StageIdentity, target: Target, output: Path) -> Rewritten:
    """Write the stage's own assembly into the new directory `output` and return it."""
    output.mkdir(parents=True, exist_ok=True)
    output = output.resolve()
    stacks = tuple(_rewrite_stack(assembly, stack, identity, target, output) for stack in assembly.stacks)
    rewritten = Assembly(output, stacks)
    write_manifests(rewritten)
    return Rewritten(rewritten)


def _rewrite_stack(assembly: Assembly, stack: Stack, identity: StageIdentity, target: Target, output: Path) -> Stack:
    relative = stack.template_path.relative_to(assembly.directory).as_posix()
    template = read_document(assembly.directory, assembly.directory, relative)
    path = output / f"{file_stem(stack.id)}.template.json"
    path.write_bytes(template_bytes(template))
    assets = []
    for asset in stack.assets:
        copy = copy_asset(asset, output)
        if isinstance(asset, FileAsset):
            asset = replace(asset, bucket=assets_bucket(target), key=resolved(asset.key, target))  # noqa: PLW2901
        assets.append(replace(asset, source=copy))
    return replace(
        stack,
        name=identity.stack_name(stack.own_name),
        template_path=path,
        account=target.account,
        region=target.region,
        tags={**stack.tags, **identity.tags()},
        termination_protection=stack.termination_protection and not identity.disposable,
        assets=tuple(assets),
    )
