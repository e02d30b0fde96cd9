"""Which way leads to a function's code: what the repository says itself, then what the code looks like."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from stagedoor.assembly.bridging.places import FUNCTION, Place, Where
from stagedoor.assembly.expressions import Scope, evaluate
from stagedoor.assembly.model import Assembly, FileAsset, Packaging, Stack
from stagedoor.assembly.template import construct_paths_of, properties_of, resources, section, strings_in
from stagedoor.assembly.template_tree import TemplateTree, load_tree
from stagedoor.live.sources.bundles import entry_of
from stagedoor.live.sources.copies import folders_like, folders_with_all, handler_files
from stagedoor.live.sources.model import FunctionSource, NoSource, Override
from stagedoor.live.sources.tree import SourceTree
from stagedoor.target import Target

LAYER = "AWS::Lambda::LayerVersion"

_ASSET_PATH = "aws:asset:path"
"""In a resource's metadata: where its asset is. With staging disabled it is the folder that the app named
(aws-cdk-lib, `core/lib/asset-staging.ts`)."""

_SOURCE = "stagedoor:source"
"""In a resource's metadata: what one of our functions says of its code (`stagedoor/constructs/function_code.py`)."""

_BUILT = (".ts", ".mts", ".cts", ".tsx", ".js", ".mjs", ".cjs", ".jsx")
"""Files that esbuild makes a function of Node of."""

_CDKS_OWN = re.compile(
    r"/(Custom::|(BucketNotificationsHandler|LogRetention|AWS|SingletonLambda)[0-9a-f]{32}\b|framework-)"
)
"""In construct paths: functions that aws-cdk-lib makes for its custom resources (its classes `CustomResourceProvider`,
`NotificationsResourceHandler`, `LogRetention`, `AwsCustomResource` and `custom-resources.Provider`)."""

_NAMED = 5
"""Folders that a reason lists."""


def find_sources(
    assembly: Assembly,
    target: Target,
    repository: Path,
    overrides: Sequence[Override] = (),
    app_dir: Path | None = None,
) -> Mapping[Place, FunctionSource | NoSource]:
    """Return where the code of each Lambda function of the assembly is; `repository` is the root of its repository.

    `app_dir` is the app's folder, from which our own functions say where their code is; the repository's by default.
    The assembly must be as synth wrote it. Nothing is run, and nothing outside of the repository is read but assets.
    """
    tree = SourceTree(repository)
    found: dict[Place, FunctionSource | NoSource] = {}
    for stack in assembly.stacks:
        templates = load_tree(assembly.directory, stack, target)
        templates = templates.in_scope(stack.own_name, stack.parameters, frozenset())
        for where, template in _walk((stack.id,), templates):
            finder = _Finder(stack, template, tree, overrides, (app_dir or repository).resolve())
            for logical_id, resource in resources(template.template):
                if resource["Type"] == FUNCTION:
                    found[Place(where, logical_id)] = finder.find(logical_id, resource)
    return found


def _walk(where: Where, tree: TemplateTree) -> Iterator[tuple[Where, TemplateTree]]:
    yield where, tree
    for logical_id, child in tree.nested.items():
        yield from _walk((*where, logical_id), child)


@dataclass(frozen=True, slots=True)
class _Function:
    """A function's definition, as far as it tells of its code."""

    logical_id: str
    path: str
    runtime: str
    handler: str
    resource: Mapping[str, Any]

    def none(self, reason: str, remedy: str = "") -> NoSource:
        """Return that its code was not found."""
        name = self.path.removesuffix("/Resource")
        return NoSource(
            self.path, reason, remedy or f'Say where it is in stagedoor.toml: [live.functions."{name}"] source = "…".'
        )


class _Finder:
    """Finds the code of one template's functions."""

    def __init__(
        self, stack: Stack, template: TemplateTree, tree: SourceTree, overrides: Sequence[Override], app_dir: Path
    ) -> None:
        self._stack = stack
        self._template = template.template
        self._scope: Scope = template.scope
        self._paths = construct_paths_of(template.template)
        self._assets = [asset for asset in stack.assets if isinstance(asset, FileAsset)]
        self._tree = tree
        self._overrides = overrides
        self._app_dir = app_dir

    def find(self, logical_id: str, resource: dict[str, Any]) -> FunctionSource | NoSource:
        """Return where a function's code is."""
        properties = properties_of(resource)
        path = self._paths.get(logical_id) or self._stack.construct_paths.get(logical_id) or logical_id
        texts = [evaluate(properties.get(name, ""), self._scope) for name in ("Runtime", "Handler")]
        runtime, handler = (text if isinstance(text, str) else "" for text in texts)
        override = self._override(logical_id, path)
        handler = override.handler or handler
        function = _Function(logical_id, path, runtime, handler, resource)
        if not runtime.startswith(("python", "nodejs")):
            kind = f"Its runtime is {runtime}" if runtime else "It is a container image"
            return function.none(f"{kind}.", "Functions of Lambda's Python and Node runtimes can be live.")
        if _CDKS_OWN.search(path) and override.source is None:
            return function.none("It is one of the CDK's own, for a custom resource.", "It stays deployed.")
        found = self._code(function, properties.get("Code"), override)
        if isinstance(found, NoSource):
            return found
        layers, elsewhere = self._layers(properties.get("Layers"))
        return replace(found, layers=tuple(layers), elsewhere=elsewhere)

    def _override(self, logical_id: str, path: str) -> Override:
        name = path.removesuffix("/Resource")
        fitting = [each for each in self._overrides if fnmatchcase(name, each.pattern) or each.pattern == logical_id]
        ends = [each for each in self._overrides if fnmatchcase(name.rpartition("/")[2], each.pattern)]
        return max(fitting or ends, key=lambda each: len(each.pattern), default=Override(""))

    def _code(self, function: _Function, code: Any, override: Override) -> FunctionSource | NoSource:
        definition = code if isinstance(code, dict) else {}
        asset = self._asset(definition.get("S3Key"))
        if override.source is not None:
            return self._named(function, override.source, asset)
        if "ZipFile" in definition:
            text = evaluate(definition["ZipFile"], self._scope)
            if not isinstance(text, str):
                return function.none("Its code is in the template, with values that are known in AWS alone.")
            return FunctionSource(function.path, function.runtime, function.handler, self._tree.root, inline=text)
        if told := _told(function.resource):
            return self._as_told(function, *told, asset)
        return self._of_asset(function, asset)

    def _of_asset(self, function: _Function, asset: FileAsset | None) -> FunctionSource | NoSource:
        declared = _declared(function.resource, self._tree.root)
        if declared:
            return self._at(function, declared)
        if asset is None or asset.packaging is not Packaging.ZIP:
            kind = "not an asset of the app" if asset is None else f"an archive ({asset.source.name}), not a folder"
            return function.none(f"Its code is {kind}.")
        return self._by_content(function, asset.source)

    def _named(self, function: _Function, source: str, asset: FileAsset | None) -> FunctionSource | NoSource:
        place = (self._tree.root / source).resolve()
        if not place.is_relative_to(self._tree.root) or not place.exists():
            return function.none(
                f"stagedoor.toml says that its code is in {source}, which is not there.", "Correct it."
            )
        if place.is_dir():
            return self._at(function, place)
        output = next(iter(handler_files(function.handler, function.runtime)), "index.js")
        folder = asset.source if asset and asset.packaging is Packaging.ZIP else None
        if folder:
            output = _output(function, folder) or output
        return self._built(function, place, output, folder)

    def _as_told(
        self, function: _Function, folder: str, handler: str, asset: FileAsset | None
    ) -> FunctionSource | NoSource:
        """Return where one of our functions says that its code is, as far as that is in the repository."""
        root = (self._app_dir / folder).resolve()
        if not root.is_relative_to(self._tree.root) or not root.is_dir():
            return function.none(f"It says that its code is in {folder[:200]}, which is not in this repository.")
        if function.runtime.startswith("python"):
            return replace(self._at(function, root), ours=True)
        module = (root / handler.rpartition(".")[0]).resolve()
        entries = (module.with_name(module.name + end) for end in _BUILT)
        entry = next(
            (file for file in entries if file.is_file() and file.resolve().is_relative_to(self._tree.root)), None
        )
        if entry is None:
            return function.none(f"It says that its code is in {folder[:200]}, where {handler[:200]} is not.")
        bundle = asset.source if asset and asset.packaging is Packaging.ZIP else None
        output = (bundle and _output(function, bundle)) or next(iter(handler_files(function.handler, function.runtime)))
        return self._built(function, entry, output, bundle)

    def _by_content(self, function: _Function, asset: Path) -> FunctionSource | NoSource:
        file = _output(function, asset)
        if file is None:
            return function.none(
                f"Its asset has no module for the handler {function.handler}.", "Correct the handler in the CDK app."
            )
        roots = folders_like(asset, file, self._tree)
        if len(roots) == 1:
            return self._at(function, roots[0])
        entries = entry_of(asset / file, self._tree) if not roots and function.runtime.startswith("node") else []
        if not roots and not entries and function.runtime.startswith("node"):
            entries = self._beside(function)
        if len(entries) == 1:
            return self._built(function, entries[0], file, asset)
        several = roots or entries
        if several:
            names = ", ".join(str(each.relative_to(self._tree.root)) or "." for each in several[:_NAMED])
            return function.none(f"Its code is in several places, which are alike: {names}.")
        return function.none("Its code is not in this repository as it was deployed.")

    def _beside(self, function: _Function) -> list[Path]:
        """Return the file that `NodejsFunction` starts from by default: `stack.<construct id>.ts` beside `stack.ts`."""
        place = self._stack.places.get(function.logical_id)
        if place is None:
            return []
        name = function.path.removesuffix("/Resource").rpartition("/")[2]
        made = self._tree.root / place.path
        beside = (made.with_name(f"{made.stem}.{name}{end}") for end in (".ts", ".js", ".mjs", ".mts", ".cts", ".cjs"))
        return [file for file in beside if file.is_file()][:1]

    def _at(self, function: _Function, root: Path) -> FunctionSource:
        return FunctionSource(function.path, function.runtime, function.handler, root)

    def _built(self, function: _Function, entry: Path, output: str, asset: Path | None) -> FunctionSource:
        found = self._at(function, entry.parent)
        return replace(found, entry=entry, output=output, asset=asset)

    def _layers(self, layers: Any) -> tuple[list[Path], int]:
        """Return the folders of the layers that the app makes itself, and how many others there are."""
        found: list[Path] = []
        elsewhere = 0
        for layer in layers if isinstance(layers, list) else []:
            named = layer.get("Ref") if isinstance(layer, dict) else None
            definition = section(self._template, "Resources").get(named) if isinstance(named, str) else None
            asset = None
            if isinstance(definition, dict) and definition.get("Type") == LAYER:
                content = properties_of(definition).get("Content")
                asset = self._asset(content.get("S3Key") if isinstance(content, dict) else None)
            if asset is None or asset.packaging is not Packaging.ZIP:
                elsewhere += 1
                continue
            own = folders_with_all(asset.source, self._tree)
            found.append(own[0] if len(own) == 1 else asset.source)
        return found, elsewhere

    def _asset(self, key: Any) -> FileAsset | None:
        text = "".join(strings_in(key)) if not isinstance(key, str) else key
        fitting = (asset for asset in self._assets if text.endswith(asset.key) or asset.claimed_hash in text)
        return next(fitting, None) if text else None


def _output(function: _Function, asset: Path) -> str | None:
    """Return the asset's file that the handler is in."""
    files = handler_files(function.handler, function.runtime)
    return next((file for file in files if (asset / file).is_file()), None)


def _told(resource: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what one of our functions says of itself: the folder of its code, and the handler from there."""
    metadata = resource.get("Metadata")
    told = metadata.get(_SOURCE) if isinstance(metadata, dict) else None
    folder, handler = (told.get(name) for name in ("folder", "handler")) if isinstance(told, dict) else (None, None)
    if isinstance(folder, str) and isinstance(handler, str) and f"{folder}{handler}".isprintable():
        return folder, handler
    return None


def _declared(resource: Mapping[str, Any], root: Path) -> Path | None:
    metadata = resource.get("Metadata")
    path = metadata.get(_ASSET_PATH) if isinstance(metadata, dict) else None
    if not isinstance(path, str) or not Path(path).is_absolute():
        return None
    place = Path(path).resolve()
    return place if place.is_relative_to(root) and place.is_dir() else None
