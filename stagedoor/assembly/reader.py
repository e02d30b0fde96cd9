"""Read a cloud assembly: manifests, nested assemblies and asset manifests in, an `Assembly` out.

What the model cannot hold is refused here by name (an asset that is made by running a program, an artifact of a type
that nobody knows), so that nothing is lost in silence. Everything else about a hostile assembly is `inspection.py`'s.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from stagedoor.assembly.asset_manifest import Assets, read_asset_manifest
from stagedoor.assembly.documents import (
    SYNTH_AGAIN,
    MalformedAssembly,
    path_inside,
    read_document,
)
from stagedoor.assembly.legacy_assets import legacy_assets
from stagedoor.assembly.model import (
    Annotation,
    Assembly,
    BindableResource,
    DockerImageAsset,
    FileAsset,
    Level,
    Stack,
)
from stagedoor.assembly.resources import told_resources, told_stages
from stagedoor.assembly.schema import (
    ArtifactType,
    MetadataEntry,
    RawArtifact,
    RawAssetManifestProperties,
    RawManifest,
    RawNestedProperties,
    RawStackProperties,
    UnknownArtifact,
    check_version,
    parse,
)
from stagedoor.assembly.source_places import source_places
from stagedoor.assembly.template import construct_paths_of
from stagedoor.errors import UserError

MANIFEST = "manifest.json"
_Asset = FileAsset | DockerImageAsset
MANIFESTS = 100
ARTIFACTS = 1_000
ASSETS = 5_000
STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
"""What CloudFormation takes; how long one may be is for `naming` to say, which knows what is put before it."""

READ_BYTES = 64 * 1024 * 1024
"""The most manifests, artifacts, assets of stacks (one that two stacks need counts twice) and bytes of documents in one
assembly. A few files can name each other, or one template, without end, and reading takes a second for each 30 MB."""


class NoAssembly(UserError):
    """The directory holds no cloud assembly."""

    id = "no-assembly"


class DependencyCycle(UserError):
    """Stacks of the assembly that each wait for the other."""

    id = "dependency-cycle"


@dataclass(slots=True)
class _Found:
    """What has been read so far: context that is missing, annotations, what can be bound, for which stages it was made,
    and how much there was; `sources` is the repository.
    """

    sources: Path | None
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    bindable: list[BindableResource] = field(default_factory=list)
    made_for: set[str] = field(default_factory=set)
    manifests: int = 0
    artifacts: int = 0
    assets: int = 0
    read: int = 0

    def add(self, manifest: RawManifest) -> None:
        """Count a manifest; raises `MalformedAssembly` past the limits."""
        self.missing.extend(manifest.missing)
        self.manifests += 1
        self.artifacts += len(manifest.artifacts)
        if self.manifests > MANIFESTS or self.artifacts > ARTIFACTS:
            raise _too_much(f"{MANIFESTS} manifests or {ARTIFACTS} artifacts")

    def counted(self, assets: Iterable[_Asset]) -> tuple[_Asset, ...]:
        """Return a stack's assets; raises `MalformedAssembly` past the limit."""
        some = tuple(islice(assets, ASSETS - self.assets + 1))
        self.assets += len(some)
        if self.assets > ASSETS:
            raise _too_much(f"{ASSETS} assets")
        return some

    def document(self, place: "_Place", relative: str) -> dict[str, Any]:
        """Return a JSON object of the assembly; raises `MalformedAssembly` past the limit of bytes."""
        self.read += path_inside(place.root, place.directory, relative).stat().st_size
        if self.read > READ_BYTES:
            raise _too_much(f"{READ_BYTES // 1024**2} MiB of manifests and templates")
        return read_document(place.root, place.directory, relative)


def _too_much(what: str) -> MalformedAssembly:
    return MalformedAssembly(f"The assembly holds more than {what}.", "Split the app into several.")


@dataclass(frozen=True, slots=True)
class _Place:
    """A manifest that is being read: its directory, and the ids of the assemblies around it as a prefix."""

    root: Path
    directory: Path
    prefix: str = ""

    @property
    def name(self) -> str:
        """What errors call the manifest."""
        return (self.directory / MANIFEST).relative_to(self.root).as_posix()


def read_assembly(directory: Path, sources: Path | None = None) -> Assembly:
    """Return the assembly in `directory`, its stacks ordered so that each comes after those it depends on.

    `sources` is the repository that wrote it; with it the stacks know the places of their resources there.
    Raises a `UserError`, and nothing else, whatever the directory holds.
    """
    root = Path(os.path.realpath(directory))
    if not (root / MANIFEST).is_file():
        raise NoAssembly(
            f"There is no {MANIFEST} in {directory.name or directory}.",
            "Point at the directory that the app's synth wrote (`cdk.out`).",
        )
    found = _Found(sources.resolve() if sources else None)
    stacks = _read_manifest(_Place(root, root), found)
    return Assembly(
        root,
        tuple(_ordered(stacks)),
        tuple(found.missing),
        tuple(found.annotations),
        tuple(found.bindable),
        frozenset(found.made_for),
    )


def _read_manifest(place: _Place, found: _Found) -> dict[str, Stack]:
    """Return the stacks of a manifest and of the assemblies in it, by id."""
    manifest = parse(RawManifest, found.document(place, MANIFEST), place.name)
    check_version(manifest.version, place.name)
    found.add(manifest)
    assets = {
        artifact_id: _read_assets(place, artifact, found)
        for artifact_id, artifact in manifest.artifacts.items()
        if _type(place, artifact_id, artifact) is ArtifactType.ASSETS
    }
    stacks: dict[str, Stack] = {}
    members: dict[str, tuple[str, ...]] = {}
    for artifact_id, artifact in manifest.artifacts.items():
        inner: dict[str, Stack] = {}
        match _type(place, artifact_id, artifact):
            case ArtifactType.STACK:
                stack = _read_stack(place, artifact_id, artifact, assets, found)
                inner = {stack.id: stack}
            case ArtifactType.NESTED:
                inner = _read_manifest(_nested_place(place, artifact_id, artifact), found)
        if inner.keys() & stacks.keys():
            raise MalformedAssembly(f"{place.name}: two stacks have one id in {artifact_id!a}.", SYNTH_AGAIN)
        members[artifact_id] = tuple(inner)
        stacks |= inner
    return _with_dependencies(place, manifest, members, stacks)


def _with_dependencies(
    place: _Place, manifest: RawManifest, members: Mapping[str, tuple[str, ...]], stacks: dict[str, Stack]
) -> dict[str, Stack]:
    """Return the stacks with what the artifacts that they are, or are members of, wait for."""
    for artifact_id, artifact in manifest.artifacts.items():
        waits_for = tuple(_dependencies(place, artifact_id, artifact, manifest, members))
        for stack_id in members[artifact_id]:
            known = stacks[stack_id].dependencies
            stacks[stack_id] = replace(stacks[stack_id], dependencies=tuple(dict.fromkeys(known + waits_for)))
    return stacks


def _type(place: _Place, artifact_id: str, artifact: RawArtifact) -> ArtifactType:
    try:
        return ArtifactType(artifact.type)
    except ValueError:
        raise UnknownArtifact(
            f"{place.name} holds {artifact_id!a} of the unknown type {artifact.type!a}.",
            "Update Stagedoor, or pin aws-cdk-lib to 2.275.0 or older.",
        ) from None


def _dependencies(
    place: _Place,
    artifact_id: str,
    artifact: RawArtifact,
    manifest: RawManifest,
    members: Mapping[str, tuple[str, ...]],
) -> Iterator[str]:
    """Yield the ids of the stacks that an artifact waits for, be it directly or through its asset manifests."""
    pending, seen = list(artifact.dependencies), {artifact_id}
    while pending:
        dependency = pending.pop(0)
        if dependency in seen:
            continue
        seen.add(dependency)
        if dependency not in manifest.artifacts:
            raise MalformedAssembly(
                f"{place.name}: {artifact_id!a} depends on {dependency!a}, which is not there.", SYNTH_AGAIN
            )
        yield from members[dependency]
        if manifest.artifacts[dependency].type == ArtifactType.ASSETS:
            pending.extend(manifest.artifacts[dependency].dependencies)


def _nested_place(place: _Place, artifact_id: str, artifact: RawArtifact) -> _Place:
    properties = parse(RawNestedProperties, artifact.properties, f"{place.name}: {artifact_id}")
    directory = path_inside(place.root, place.directory, properties.directory)
    # Only downwards: an assembly that names itself, or one around or beside it, could be read for ever.
    if not directory.is_dir() or directory == place.directory or not directory.is_relative_to(place.directory):
        raise MalformedAssembly(f"{place.name}: {artifact_id!a} is not an assembly within this one.", SYNTH_AGAIN)
    return _Place(place.root, directory, f"{place.prefix}{artifact_id}/")


def _read_assets(place: _Place, artifact: RawArtifact, found: _Found) -> Assets:
    properties = parse(RawAssetManifestProperties, artifact.properties, place.name)
    document = found.document(place, properties.file)
    return read_asset_manifest(place.root, place.directory, properties.file, document, properties.bootstrap_version)


def _read_stack(
    place: _Place, artifact_id: str, artifact: RawArtifact, assets: Mapping[str, Assets], found: _Found
) -> Stack:
    properties = parse(RawStackProperties, artifact.properties, f"{place.name}: {artifact_id}")
    template_path = path_inside(place.root, place.directory, properties.template_file)
    template = found.document(place, properties.template_file)
    metadata = _metadata(place, artifact, found)
    found.annotations.extend(_annotations(metadata))
    found.bindable.extend(told_resources(metadata))
    found.made_for.update(told_stages(metadata))
    account, region = _environment(artifact.environment, f"{place.name}: {artifact_id}")
    handed_over = list(legacy_assets(place.root, place.directory, f"{place.name}: {artifact_id}", metadata))
    own_assets = [assets[name] for name in dict.fromkeys(artifact.dependencies) if name in assets]
    own_name = properties.stack_name or artifact_id
    if not STACK_NAME.fullmatch(own_name):
        raise MalformedAssembly(f"{own_name[:200]!a} in {place.name} is no name of a stack.", SYNTH_AGAIN)
    return Stack(
        id=place.prefix + artifact_id,
        own_name=own_name,
        name=own_name,
        template_path=template_path,
        account=account,
        region=region,
        parameters={name: value for _, given in handed_over for name, value in given.items()}
        | dict(properties.parameters),
        tags={**_legacy_tags(metadata), **properties.tags},
        termination_protection=properties.termination_protection,
        assets=found.counted(chain((asset for asset, _ in handed_over), _of_stack(own_assets, template_path, region))),
        construct_paths={**_logical_ids(metadata), **construct_paths_of(template)},
        display_name=artifact.display_name or artifact_id,
        bootstrap_version=max([properties.bootstrap_version, *(group.bootstrap_version for group in own_assets)]),
        notification_arns=tuple(properties.notification_arns),
        acknowledged=_acknowledged(metadata),
        places=source_places(metadata, found.sources),
        roles=tuple(role for role in (properties.deploy_role, properties.execution_role) if role),
    )


def _of_stack(groups: list[Assets], template: Path, region: str) -> Iterator[_Asset]:
    seen: set[tuple[str, str]] = set()
    for group in groups:
        for asset in group.for_region(region):
            key = (type(asset).__name__, asset.claimed_hash)
            if key not in seen and asset.source != template:
                seen.add(key)
                yield asset


def _environment(environment: str, name: str) -> tuple[str, str]:
    """Return account and region of `aws://account/region`."""
    account, slash, region = environment.removeprefix("aws://").partition("/")
    if not (environment.startswith("aws://") and account and slash and region) or "/" in region:
        raise MalformedAssembly(f"{name} has no environment of the form aws://account/region.", SYNTH_AGAIN)
    return account, region


def _metadata(place: _Place, artifact: RawArtifact, found: _Found) -> dict[str, list[MetadataEntry]]:
    metadata = {path: list(entries) for path, entries in artifact.metadata.items()}
    if artifact.additional_metadata_file is not None:
        document = found.document(place, artifact.additional_metadata_file)
        for path, entries in parse(RawArtifact, {"type": "", "metadata": document}, place.name).metadata.items():
            metadata.setdefault(path, []).extend(entries)
    return metadata


def _annotations(metadata: Mapping[str, list[MetadataEntry]]) -> Iterator[Annotation]:
    """Yield the errors, warnings and notes among a stack's metadata."""
    levels = {f"aws:cdk:{level}": level for level in Level}
    for path, entries in metadata.items():
        for entry in entries:
            if entry.type in levels and isinstance(entry.data, str):
                yield Annotation(_shown(path.lstrip("/")), _shown(entry.data), levels[entry.type])


def _shown(text: str) -> str:
    """Return what an app says as it may be shown on a terminal: nothing in it moves the cursor or changes colours."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def _logical_ids(metadata: Mapping[str, list[MetadataEntry]]) -> dict[str, str]:
    """Return construct paths by logical id, from the metadata that CDK writes for each construct."""
    return {
        entry.data: path.lstrip("/")
        for path, entries in metadata.items()
        for entry in entries
        if entry.type == "aws:cdk:logicalId" and isinstance(entry.data, str)
    }


def _acknowledged(metadata: Mapping[str, list[MetadataEntry]]) -> dict[str, tuple[str, ...]]:
    """Return the ids of the rules that constructs acknowledge (`Validations.of(…).acknowledge`), by construct path."""
    found: dict[str, tuple[str, ...]] = {}
    for path, entries in metadata.items():
        rules = [entry.data for entry in entries if entry.type == "aws:cdk:acknowledged-rules"]
        if ids := tuple(str(rule) for data in rules if isinstance(data, dict) for rule in data):
            found[path.lstrip("/")] = ids
    return found


def _legacy_tags(metadata: Mapping[str, list[MetadataEntry]]) -> dict[str, str]:
    """Return the stack's tags where an older CDK wrote them, as `[{"Key": …, "Value": …}]`."""
    tags: dict[str, str] = {}
    entries = [entry for group in metadata.values() for entry in group if entry.type == "aws:cdk:stack-tags"]
    for tag in [tag for entry in entries if isinstance(entry.data, list) for tag in entry.data]:
        match tag:
            case {"Key": str(key), "Value": str(value)} | {"key": str(key), "value": str(value)}:
                tags[key] = value
    return tags


def _ordered(stacks: Mapping[str, Stack]) -> Iterator[Stack]:
    """Yield the stacks, each after those it depends on, else in the order of the manifest."""
    waiting = dict(stacks)
    while waiting:
        ready = [stack for stack in waiting.values() if not any(name in waiting for name in stack.dependencies)]
        if not ready:
            names = ", ".join(sorted(waiting))
            raise DependencyCycle(f"These stacks wait for each other: {names}.", "Break the circle of references.")
        for stack in ready:
            del waiting[stack.id]
            yield stack
