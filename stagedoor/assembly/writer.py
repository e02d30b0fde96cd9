"""Write a rewritten assembly to disk, so that the directory is a valid assembly by itself.

Nested assemblies come out flat, in one manifest: an artifact's id keeps its path (`assembly-Blue/Inside`). Assets are
copied, not linked: what was inspected cannot be changed afterwards by a process that synth left behind, and the
directory can be kept or sent elsewhere without the one that it came from. No role is named: the target's are used.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Packaging, Stack, Template

WRITTEN_SCHEMA = "36.0.0"
"""What is written uses nothing newer, so that every CDK command line since 2.124 can read it."""


_STEM_LENGTH = 100


def template_bytes(template: Template) -> bytes:
    """Return a template as it is written and hashed: the same bytes for the same template, ASCII only."""
    return json.dumps(template).encode()  # an indent takes four times as long, and counts against the limits


def file_stem(name: str) -> str:
    """Return a file name's beginning for an id or a path: readable, and another one for each other name."""
    stem = re.sub(r"[^A-Za-z0-9.-]", "_", name)[:_STEM_LENGTH]
    return stem if stem == name else f"{stem}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def copy_asset(asset: FileAsset | DockerImageAsset, source_root: Path, output: Path) -> Path:
    """Copy an asset's source into `output` and return the copy's path; links inside a directory stay links."""
    name = asset.source.relative_to(source_root).as_posix()
    copy = output / "assets" / f"{file_stem(name)}{asset.source.suffix if asset.source.is_file() else ''}"
    if copy.exists():
        return copy
    copy.parent.mkdir(exist_ok=True)
    if asset.source.is_dir():
        shutil.copytree(asset.source, copy, symlinks=True)
    else:
        shutil.copy2(asset.source, copy, follow_symlinks=False)
    return copy


def write_manifests(assembly: Assembly) -> None:
    """Write `manifest.json` and each stack's asset manifest beside the templates and assets that are there already."""
    artifacts: dict[str, Any] = {}
    ids = {stack.id for stack in assembly.stacks}
    for stack in assembly.stacks:
        assets_id = f"{stack.id}.assets"
        while assets_id in ids:
            assets_id += "_"
        artifacts |= _artifacts(stack, assets_id)
        _write(assembly.directory / f"{file_stem(stack.id)}.assets.json", _asset_manifest(stack, assembly.directory))
    manifest = {"version": WRITTEN_SCHEMA, "artifacts": artifacts, "missing": list(assembly.missing_context)}
    _write(assembly.directory / "manifest.json", manifest)


def _artifacts(stack: Stack, assets_id: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "templateFile": stack.template_path.name,
        "stackName": stack.name,
        "parameters": dict(stack.parameters),
        "tags": dict(stack.tags),
        "terminationProtection": stack.termination_protection,
        "notificationArns": list(stack.notification_arns),
        "requiresBootstrapStackVersion": stack.bootstrap_version,
    }
    metadata: dict[str, list[dict[str, str]]] = {}
    for logical_id, path in stack.construct_paths.items():
        metadata.setdefault(f"/{path}", []).append({"type": "aws:cdk:logicalId", "data": logical_id})
    return {
        assets_id: {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{file_stem(stack.id)}.assets.json"},
        },
        stack.id: {
            "type": "aws:cloudformation:stack",
            "environment": f"aws://{stack.account}/{stack.region}",
            "properties": properties,
            "dependencies": [*stack.dependencies, assets_id],
            "metadata": metadata,
            "displayName": stack.display_name,
        },
    }


def _asset_manifest(stack: Stack, directory: Path) -> dict[str, Any]:
    files, images = {}, {}
    for asset in stack.assets:
        source = asset.source.relative_to(directory).as_posix()
        if isinstance(asset, FileAsset):
            files[asset.claimed_hash] = {
                "displayName": asset.display_name,
                "source": {"path": source, "packaging": Packaging(asset.packaging).value},
                "destinations": {
                    "target": {"bucketName": asset.bucket, "objectKey": asset.key, "region": stack.region}
                },
            }
        else:
            images[asset.claimed_hash] = {
                "displayName": asset.display_name,
                "source": {**asset.build, "directory": source},
                "destinations": {
                    "target": {"repositoryName": asset.repository, "imageTag": asset.tag, "region": stack.region}
                },
            }
    return {"version": WRITTEN_SCHEMA, "files": files, "dockerImages": images}


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document) + "\n")
