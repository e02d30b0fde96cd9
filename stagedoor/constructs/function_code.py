"""What a function runs: a handler's bundle or a container's image, and what is told of it to `stagedoor dev`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import AssetHashType, FileSystem, IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.bundling.bundle import python_bundle
from stagedoor.bundling.source import HandlerNotFound, Language, find_source
from stagedoor.constructs.defaults import defaults_of
from stagedoor.constructs.errors import ConstructError

SOURCE_METADATA = "stagedoor:source"
"""Metadata of an `AWS::Lambda::Function` in the template: `{folder, handler, language}`. `folder` is from the app's,
and `handler` from that folder, as Lambda is told. A container has none."""


@dataclass(frozen=True, slots=True)
class FunctionCode:
    """A function's code. `digest` tells two versions of it apart; `source` is what `SOURCE_METADATA` holds."""

    code: lambda_.Code
    handler: str
    runtime: lambda_.Runtime
    digest: str
    source: dict[str, str] | None


def handler_code(scope: Construct, handler: str, *, runtime: str | None) -> FunctionCode:
    """Bundle a handler. Raises `ConstructError` where there is none, or its runtime is of another language."""
    app_dir = Path.cwd().resolve()
    try:
        source = find_source(handler, app_dir)
    except HandlerNotFound as problem:
        raise ConstructError(str(problem), "See the handler's spelling.", scope.node.path) from None
    defaults = defaults_of(scope)
    python = defaults.python or f"python{sys.version_info.major}.{sys.version_info.minor}"
    name = runtime or (python if source.language is Language.PYTHON else defaults.node)
    if not name.startswith(("python", "nodejs")) or (source.language is Language.PYTHON) != name.startswith("python"):
        raise ConstructError(
            f"{source.file.name} does not run on {name}.",
            "Leave `runtime` out, or name one of its language: 'python3.12', 'nodejs22.x'.",
            scope.node.path,
        )
    bundle = python_bundle(source, None, with_runtime=True)
    return FunctionCode(
        lambda_.Code.from_asset(str(bundle.folder), asset_hash=bundle.digest, asset_hash_type=AssetHashType.CUSTOM),
        source.handler,
        lambda_.Runtime(name),
        bundle.digest,
        {
            "folder": source.root.relative_to(app_dir).as_posix(),
            "handler": source.handler,
            "language": source.language.value,
        },
    )


def image_code(scope: Construct, image: str, *, architecture: str) -> FunctionCode:
    """Make a container's image of a folder with a Dockerfile; it is built where it is published."""
    folder = (Path.cwd() / image).resolve()
    if not (folder / "Dockerfile").is_file():
        raise ConstructError(
            f"There is no Dockerfile in {image}.", "`image` is a folder that has one.", scope.node.path
        )
    platform = ecr_assets.Platform.LINUX_ARM64 if architecture == "arm64" else ecr_assets.Platform.LINUX_AMD64
    return FunctionCode(
        lambda_.Code.from_asset_image(str(folder), platform=platform),
        lambda_.Handler.FROM_IMAGE,
        lambda_.Runtime.FROM_IMAGE,
        FileSystem.fingerprint(str(folder), ignore_mode=IgnoreMode.DOCKER),
        None,
    )
