"""An asset's address: the hash of what is in it, worked out by us.

What an assembly claims as an asset's hash is only a name in it. Published under that name, one app's code could stand
where another's is expected. So each file asset gets the key `<trust>/<our hash>` and each image the tag
`<trust>-<our hash>`, and the templates are told: `address_assets` replaces the claimed ones by ours.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Packaging, Stack
from stagedoor.assembly.target_names import assets_bucket, image_repository, resolved
from stagedoor.deploy.publishing.asset_files import content_hash
from stagedoor.deploy.publishing.images import check_image, image_hash, image_name
from stagedoor.errors import UserError
from stagedoor.target import Target

Asset = FileAsset | DockerImageAsset

_HASH = re.compile(r"^[0-9a-f]{32,64}(\.[A-Za-z0-9.]+)?$")


class ForeignAssetBucket(UserError):
    """An asset is to go to a bucket that the target does not have for assets."""

    id = "foreign-asset-bucket"


def address_assets(assembly: Assembly, target: Target, into: Path) -> Assembly:
    """Return the assembly with each asset under its own address, and templates that refer to it there.

    Changed templates are written to the directory `into`; the assembly that came in stays as it is.
    Raises `ForeignAssetBucket`, what `check_image` raises, and `AssetOutsideAssembly` for what links out of the
    assembly.
    """
    addresses = _Addresses(assembly, target, into)
    return replace(assembly, stacks=tuple(addresses.stack(stack) for stack in assembly.stacks))


class _Addresses:
    """Keys by claimed key. A template that is an asset itself gets its key after those that it refers to."""

    def __init__(self, assembly: Assembly, target: Target, into: Path) -> None:
        self._root = assembly.directory.resolve()
        self._target = target
        self._into = into
        self._done: dict[tuple[Path, str], FileAsset] = {}
        self._image_hashes: dict[tuple[Path, str], str] = {}
        self._hashes = _hashes([asset for stack in assembly.stacks for asset in stack.assets], self._root)

    def stack(self, stack: Stack) -> Stack:
        files = [self._in_target(stack, asset) for asset in stack.assets if isinstance(asset, FileAsset)]
        images = [asset for asset in stack.assets if isinstance(asset, DockerImageAsset)]
        tagged = {image.tag: self._tagged(stack, image) for image in images}
        tags = {claimed: image.tag for claimed, image in tagged.items()}
        by_key = {asset.key: asset for asset in files}
        addressed = [self._address(asset, by_key, tags) for asset in files]
        template = self._rewritten(stack.template_path, by_key, tags)
        # The legacy synthesizer's templates are told the keys by their parameters.
        keys = {asset.key: ours.key for asset, ours in zip(files, addressed, strict=True)}
        parameters = with_keys(dict(stack.parameters), keys)
        return replace(stack, template_path=template, parameters=parameters, assets=(*addressed, *tagged.values()))

    def _in_target(self, stack: Stack, asset: FileAsset) -> FileAsset:
        expected = assets_bucket(self._target)
        if resolved(asset.bucket, self._target) != expected:
            raise ForeignAssetBucket(
                f"The stack {stack.own_name} wants its assets in the bucket {asset.bucket!r}; the target "
                f"{self._target.name!r} keeps them in {expected!r}.",
                "Use the default stack synthesizer with the target's qualifier, without a bucket name of its own.",
            )
        return replace(asset, bucket=expected)

    def _tagged(self, stack: Stack, image: DockerImageAsset) -> DockerImageAsset:
        check_image(image, stack.own_name, self._target)
        place = (image.source, json.dumps(image.build, sort_keys=True))
        if place not in self._image_hashes:
            self._image_hashes[place] = image_hash(image)
        tag = f"{self._target.trust}-{self._image_hashes[place]}"
        return replace(image, repository=image_repository(self._target), tag=tag)

    def _address(self, asset: FileAsset, siblings: Mapping[str, FileAsset], tags: Mapping[str, str]) -> FileAsset:
        place = (asset.source, asset.key)
        if place not in self._done:
            source = asset
            if asset.is_template:
                others = {key: other for key, other in siblings.items() if key != asset.key}
                source = replace(asset, source=self._rewritten(asset.source, others, tags))
            suffix = ".zip" if asset.packaging is Packaging.ZIP else asset.source.suffix
            self._done[place] = replace(source, key=f"{self._target.trust}/{self._hash(source)}{suffix}")
        return self._done[place]

    def _hash(self, asset: FileAsset) -> str:
        if asset.source.is_relative_to(self._into):  # a template of ours, which lies outside of the assembly
            return content_hash(asset, self._into.resolve())
        return self._hashes[asset.source]

    def _rewritten(self, template: Path, assets: Mapping[str, FileAsset], tags: Mapping[str, str]) -> Path:
        """Write the template with our keys and tags in it, if any is in it, and return where it is."""
        text = template.read_text(encoding="utf-8")
        names = {key: self._address(asset, assets, tags).key for key, asset in assets.items() if key in text}
        names |= {claimed: ours for claimed, ours in tags.items() if claimed in text}
        if not names:
            return template
        self._into.mkdir(parents=True, exist_ok=True)
        changed = json.dumps(with_keys(json.loads(text), names))
        path = self._into / f"{hashlib.sha256(changed.encode()).hexdigest()}.template.json"
        path.write_text(changed, encoding="utf-8")
        return path


def address_of(asset: Asset) -> str:
    """Return where an addressed asset is published: an object's key, or an image's repository and tag."""
    return asset.key if isinstance(asset, FileAsset) else f"{asset.repository}:{asset.tag}"


def asset_name(asset: Asset) -> str:
    """Return what people call an asset."""
    return image_name(asset) if isinstance(asset, DockerImageAsset) else asset.display_name or asset.key


def with_keys(value: Any, keys: Mapping[str, str]) -> Any:
    """Return a template's value with claimed keys and tags replaced by ours.

    A string that is one, or ends with one after a slash or a colon (as a URL or an image's name does), is replaced; one
    that is a hash is found inside longer strings, too.
    """
    if isinstance(value, str):
        for claimed, ours in keys.items():
            if value == claimed:
                return ours
            if value.endswith(("/" + claimed, ":" + claimed)):
                return value[: -len(claimed)] + ours
            if _HASH.match(claimed.rsplit("/", 1)[-1]):
                value = value.replace(claimed, ours)
        return value
    if isinstance(value, list):
        return [with_keys(item, keys) for item in value]
    if isinstance(value, dict):
        return {name: with_keys(item, keys) for name, item in value.items()}
    return value


def _hashes(assets: Sequence[Asset], root: Path) -> dict[Path, str]:
    """Return the hash of each file asset by its source; hashing lets other threads run, so it takes all processors."""
    files = {asset.source: asset for asset in assets if isinstance(asset, FileAsset)}
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hash") as hashers:
        return dict(zip(files, hashers.map(lambda asset: content_hash(asset, root), files.values()), strict=True))
