"""Asset manifests: what must be published before a stack can use it.

Source: https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema/lib/assets
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly, path_inside
from stagedoor.assembly.model import DockerImageAsset, FileAsset, Packaging
from stagedoor.assembly.schema import (
    RawAssetManifest,
    RawFileAsset,
    RawFileDestination,
    RawImageAsset,
    RawImageDestination,
    check_version,
    parse,
)
from stagedoor.errors import UserError


class ExecutableAsset(UserError):
    """An asset that would be made by running a program of the assembly's choice where it is published."""

    id = "executable-asset"


@dataclass(frozen=True, slots=True)
class Assets:
    """What one asset manifest holds, checked, and the version of the bootstrap stack that it asks for."""

    root: Path
    directory: Path
    name: str
    manifest: RawAssetManifest
    bootstrap_version: int

    def for_region(self, region: str) -> Iterator[FileAsset | DockerImageAsset]:
        """Yield the assets with their destination in `region`, or their only one."""
        for claimed, file in self.manifest.files.items():
            yield self._file(claimed, file, region)
        for claimed, image in self.manifest.images.items():
            yield self._image(claimed, image, region)

    def _file(self, claimed: str, raw: RawFileAsset, region: str) -> FileAsset:
        if raw.source.executable is not None or raw.source.path is None:
            raise _executable(self.name, raw.display_name or claimed)
        source = path_inside(self.root, self.directory, raw.source.path)
        packaging = _packaging(raw.source.packaging, self.name)
        if source.is_dir() != (packaging is Packaging.ZIP):
            raise MalformedAssembly(
                f"{self.name}: {claimed!a} is to be published as a {packaging} and is none.", SYNTH_AGAIN
            )
        destination: RawFileDestination = _destination(raw.destinations, region, self.name)
        return FileAsset(
            claimed_hash=claimed,
            source=source,
            packaging=packaging,
            bucket=destination.bucket,
            key=destination.key,
            display_name=raw.display_name,
            is_template=source.name.endswith(".template.json"),
        )

    def _image(self, claimed: str, raw: RawImageAsset, region: str) -> DockerImageAsset:
        directory = raw.source.get("directory")
        if raw.source.get("executable") is not None or not isinstance(directory, str):
            raise _executable(self.name, raw.display_name or claimed)
        destination: RawImageDestination = _destination(raw.destinations, region, self.name)
        return DockerImageAsset(
            claimed_hash=claimed,
            source=path_inside(self.root, self.directory, directory),
            repository=destination.repository,
            tag=destination.tag,
            display_name=raw.display_name,
            build={key: value for key, value in raw.source.items() if key != "directory"},
        )


def read_asset_manifest(
    root: Path, directory: Path, file: str, document: Mapping[str, Any], bootstrap_version: int
) -> Assets:
    """Return the asset manifest `document`, read from `file`, relative to `directory`, of the assembly in `root`."""
    manifest = parse(RawAssetManifest, document, file)
    check_version(manifest.version, file)
    return Assets(root, directory, file, manifest, bootstrap_version)


def _packaging(packaging: str, name: str) -> Packaging:
    try:
        return Packaging(packaging)
    except ValueError:
        raise MalformedAssembly(f"{name} knows a packaging {packaging!a}.", SYNTH_AGAIN) from None


def _executable(name: str, asset: str) -> ExecutableAsset:
    return ExecutableAsset(
        f"{name}: the asset {asset!a} is made by a program that would run where it is published.",
        "Let the asset be made during synth (an asset with local bundling).",
    )


_Destination = TypeVar("_Destination", RawFileDestination, RawImageDestination)


def _destination(destinations: Mapping[str, _Destination], region: str, name: str) -> _Destination:
    if not destinations:
        raise MalformedAssembly(f"{name} holds an asset that goes nowhere.", SYNTH_AGAIN)
    in_region = [destination for destination in destinations.values() if destination.region == region]
    return (in_region or list(destinations.values()))[0]
