"""An asset's address: the hash of what is in it, worked out by us.

What an assembly claims as an asset's hash is only a name in it. Published under that name, one app's code could stand
where another's is expected. So each asset gets the key `<trust>/<our hash>`, and the templates are told:
`address_assets` replaces the claimed keys by ours. The hash is taken of the files, not of the archive made from them,
so an asset that is already there is never compressed.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Packaging, Stack
from stagedoor.assembly.target_names import assets_bucket, resolved
from stagedoor.errors import UserError
from stagedoor.target import Target

_FORMAT = b"stagedoor-asset-1\n"
"""Part of each hash: raised when the archive that is made of the same files becomes another."""

_HASH = re.compile(r"^[0-9a-f]{32,64}(\.[A-Za-z0-9.]+)?$")
_CHUNK = 1 << 20


class UnsupportedAsset(UserError):
    """An asset of a kind that cannot be published."""

    id = "unsupported-asset"


class AssetOutsideAssembly(UserError):
    """An asset holds a link to a file that is not part of the assembly."""

    id = "asset-outside-assembly"


class ForeignAssetBucket(UserError):
    """An asset is to go to a bucket that the target does not have for assets."""

    id = "foreign-asset-bucket"


@dataclass(frozen=True, slots=True)
class AssetFile:
    """One file of an asset: its path in the archive, where it is read from, and whether it can be executed."""

    name: str
    path: Path
    executable: bool


def address_assets(assembly: Assembly, target: Target, into: Path) -> Assembly:
    """Return the assembly with each file asset under its own address, and templates that refer to it there.

    Changed templates are written to the directory `into`; the assembly that came in stays as it is.
    Raises `UnsupportedAsset` for container images and `AssetOutsideAssembly` for what links out of the assembly.
    """
    addresses = _Addresses(assembly, target, into)
    return replace(assembly, stacks=tuple(addresses.stack(stack) for stack in assembly.stacks))


def asset_files(asset: FileAsset, root: Path) -> list[AssetFile]:
    """Return an asset's files, sorted by name. Links are followed to files inside `root`, and no further."""
    if not asset.source.is_dir():
        return [_file(asset.source.name, asset.source, root)]
    return sorted(_walk(asset.source, root), key=lambda file: file.name)


def content_hash(asset: FileAsset, root: Path) -> str:
    """Return the SHA-256 of what the asset holds: names, modes and bytes of its files."""
    if asset.packaging is Packaging.FILE:
        return _bytes_hash(_file(asset.source.name, asset.source, root).path)
    whole = hashlib.sha256(_FORMAT)
    for file in asset_files(asset, root):
        line = json.dumps([file.name, file.executable, _bytes_hash(file.path)], ensure_ascii=True)
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


class _Addresses:
    """Keys by claimed key. A template that is an asset itself gets its key after those that it refers to."""

    def __init__(self, assembly: Assembly, target: Target, into: Path) -> None:
        self._root = assembly.directory.resolve()
        self._target = target
        self._into = into
        self._done: dict[tuple[Path, str], FileAsset] = {}

    def stack(self, stack: Stack) -> Stack:
        assets = [self._file_asset(stack, asset) for asset in stack.assets]
        by_key = {asset.key: asset for asset in assets}
        addressed = [self._address(asset, by_key) for asset in assets]
        template = self._rewritten(stack.template_path, by_key)
        return replace(stack, template_path=template, assets=tuple(addressed))

    def _file_asset(self, stack: Stack, asset: FileAsset | DockerImageAsset) -> FileAsset:
        if isinstance(asset, DockerImageAsset):
            image = asset.display_name or asset.claimed_hash[:12]
            raise UnsupportedAsset(
                f"The stack {stack.own_name} needs the container image {image}, which cannot be published yet.",
                "Package the function as a zip asset, or refer to an image that is in a registry already.",
            )
        expected = assets_bucket(self._target)
        if resolved(asset.bucket, self._target) != expected:
            raise ForeignAssetBucket(
                f"The stack {stack.own_name} wants its assets in the bucket {asset.bucket!r}; the target "
                f"{self._target.name!r} keeps them in {expected!r}.",
                "Use the default stack synthesizer with the target's qualifier, without a bucket name of its own.",
            )
        return replace(asset, bucket=expected)

    def _address(self, asset: FileAsset, siblings: Mapping[str, FileAsset]) -> FileAsset:
        place = (asset.source, asset.key)
        if place not in self._done:
            source = asset
            if asset.is_template:
                others = {key: other for key, other in siblings.items() if key != asset.key}
                source = replace(asset, source=self._rewritten(asset.source, others))
            root = self._into.resolve() if source.source.is_relative_to(self._into) else self._root
            suffix = ".zip" if asset.packaging is Packaging.ZIP else asset.source.suffix
            key = f"{self._target.trust}/{content_hash(source, root)}{suffix}"
            self._done[place] = replace(source, key=key)
        return self._done[place]

    def _rewritten(self, template: Path, assets: Mapping[str, FileAsset]) -> Path:
        """Write the template with our keys in it, if any is in it, and return where it is."""
        text = template.read_text(encoding="utf-8")
        present = {key: asset for key, asset in assets.items() if key in text}
        if not present:
            return template
        keys = {key: self._address(asset, assets).key for key, asset in present.items()}
        self._into.mkdir(parents=True, exist_ok=True)
        changed = json.dumps(with_keys(json.loads(text), keys), indent=1)
        path = self._into / f"{hashlib.sha256(changed.encode()).hexdigest()}.template.json"
        path.write_text(changed, encoding="utf-8")
        return path


def with_keys(value: Any, keys: Mapping[str, str]) -> Any:
    """Return a template's value with claimed keys replaced by ours.

    A string that is a key, or ends with one after a slash (as a URL does), is replaced; a key that is a hash is found
    inside longer strings, too.
    """
    if isinstance(value, str):
        for claimed, ours in keys.items():
            if value == claimed:
                return ours
            if value.endswith("/" + claimed):
                return value[: -len(claimed)] + ours
            if _HASH.match(claimed.rsplit("/", 1)[-1]):
                value = value.replace(claimed, ours)
        return value
    if isinstance(value, list):
        return [with_keys(item, keys) for item in value]
    if isinstance(value, dict):
        return {name: with_keys(item, keys) for name, item in value.items()}
    return value


def _walk(directory: Path, root: Path) -> Iterator[AssetFile]:
    for place, folders, names in os.walk(directory, followlinks=False):
        here = Path(place)
        for folder in [name for name in folders if (here / name).is_symlink()]:
            inside = _inside(here / folder, root)
            if directory.resolve().is_relative_to(inside):
                continue  # a link back to a directory above it has no end
            for file in _walk(inside, root):
                yield replace(file, name=f"{(here / folder).relative_to(directory).as_posix()}/{file.name}")
        for name in names:
            yield _file((here / name).relative_to(directory).as_posix(), here / name, root)


def _file(name: str, path: Path, root: Path) -> AssetFile:
    inside = _inside(path, root)
    return AssetFile(name, inside, bool(inside.stat().st_mode & stat.S_IXUSR))


def _inside(path: Path, root: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(root) or not real.exists():
        raise AssetOutsideAssembly(
            f"The asset file {path.name!r} leads to a place that is not in the assembly.",
            "Put a copy of the file into the asset instead of a link.",
        )
    return real


def _bytes_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
