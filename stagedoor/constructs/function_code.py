"""What a function runs: a handler's bundle or a container's image, and what is told of it to `stagedoor dev`."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from aws_cdk import AssetHashType, FileSystem, IgnoreMode
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.bundling.bundle import bundle_for
from stagedoor.bundling.options import NodeOptions, PythonOptions
from stagedoor.bundling.source import HandlerNotFound, Language, find_source
from stagedoor.constructs.defaults import FunctionDefaults, defaults_of
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.words import check_words
from stagedoor.errors import UserError

_RUNTIMES = {Language.PYTHON: "python", Language.NODE: "nodejs"}

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


def handler_code(
    scope: Construct, handler: str, *, runtime: str | None, architecture: str, bundle: Mapping[str, Any] | None
) -> FunctionCode:
    """Bundle a handler. Raises `ConstructError` where there is none, or it cannot be bundled as is said."""
    app_dir, where = Path.cwd().resolve(), scope.node.path
    try:
        source = find_source(handler, app_dir)
    except HandlerNotFound as problem:
        raise ConstructError(str(problem), "See the handler's spelling.", where) from None
    name = runtime or _runtime(source.language, defaults_of(scope))
    if not name.startswith(_RUNTIMES[source.language]):
        raise ConstructError(
            f"{source.file.name} does not run on {name}.",
            "Leave `runtime` out, or name one of its language: 'python3.12', 'nodejs22.x'.",
            where,
        )
    kind = {Language.PYTHON: PythonOptions, Language.NODE: NodeOptions}[source.language]
    said = {word: tuple(value) if isinstance(value, list) else value for word, value in (bundle or {}).items()}
    check_words(said, (each.name for each in fields(kind)), f"The bundle of {source.file.name}", where)
    options = {"python" if source.language is Language.PYTHON else "node": kind(**said)}
    try:
        made = bundle_for(source, runtime=name, architecture=architecture, with_runtime=True, **options)
    except UserError as problem:
        raise ConstructError(problem.what, f"{problem.remedy} {problem.detail}".strip(), where) from None
    return FunctionCode(
        lambda_.Code.from_asset(str(made.folder), asset_hash=made.digest, asset_hash_type=AssetHashType.CUSTOM),
        made.handler,
        lambda_.Runtime(name),
        made.digest,
        {
            "folder": source.root.relative_to(app_dir).as_posix(),
            "handler": source.handler,
            "language": source.language.value,
        },
    )


def _runtime(language: Language, defaults: FunctionDefaults) -> str:
    if language is Language.NODE:
        return defaults.node
    return defaults.python or f"python{sys.version_info.major}.{sys.version_info.minor}"


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
