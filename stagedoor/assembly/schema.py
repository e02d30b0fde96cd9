"""The shape of the files in a cloud assembly, as far as Stagedoor reads them.

Source: https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema (`manifest.ts`,
`artifact-schema.ts`, `assets/`). Fields that are not named here are not read; roles are among them, since the target's
are used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeVar

from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly
from stagedoor.assembly.model import Packaging
from stagedoor.assembly.shapes import NotOfShape, read
from stagedoor.errors import UserError

OLDEST_SCHEMA = 15
NEWEST_SCHEMA = 55
"""aws-cdk-lib 2.275.0. A new major version may mean something that we would not see, so it is refused, as CDK's own
command line does."""


UNKNOWN_ACCOUNT = "unknown-account"
UNKNOWN_REGION = "unknown-region"
"""What CDK writes where a stack does not name its environment."""


class UnknownSchemaVersion(UserError):
    """The assembly was written by an aws-cdk-lib that is newer, or much older, than this version of Stagedoor knows."""

    id = "unknown-assembly-version"


class UnknownArtifact(UserError):
    """A manifest's entry of a type that Stagedoor does not know and so cannot judge."""

    id = "unknown-artifact"


class ArtifactType(StrEnum):
    """The types of artifact that CDK writes."""

    NONE = "none"
    STACK = "aws:cloudformation:stack"
    TREE = "cdk:tree"
    ASSETS = "cdk:asset-manifest"
    NESTED = "cdk:cloud-assembly"
    FLAGS = "cdk:feature-flag-report"


_NOT_EMPTY = re.compile(r"(?s).+")
_STACK_NAME = re.compile(r"(?s).{1,255}")
_HASH = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataEntry:
    """What a construct wrote about itself; `data` may be anything."""

    type: str
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArtifact:
    """One entry of a manifest; `properties` are read by type."""

    type: str
    environment: str = ""
    metadata: Mapping[str, list[MetadataEntry]] = field(default_factory=dict)
    additional_metadata_file: Annotated[str | None, "additionalMetadataFile"] = None
    dependencies: list[str] = field(default_factory=list)
    properties: Mapping[str, Any] = field(default_factory=dict)
    display_name: Annotated[str | None, "displayName"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawManifest:
    """`manifest.json`."""

    version: str
    artifacts: Mapping[str, RawArtifact] = field(default_factory=dict)
    missing: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawStackProperties:
    """Properties of `aws:cloudformation:stack`."""

    template_file: Annotated[str, "templateFile"]
    stack_name: Annotated[str | None, "stackName", _STACK_NAME] = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    notification_arns: Annotated[list[str], "notificationArns"] = field(default_factory=list)
    termination_protection: Annotated[bool, "terminationProtection"] = False
    bootstrap_version: Annotated[int, "requiresBootstrapStackVersion"] = 0
    deploy_role: Annotated[str | None, "assumeRoleArn"] = None
    execution_role: Annotated[str | None, "cloudFormationExecutionRoleArn"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawLegacyAsset:
    """The data of an `aws:cdk:asset`: a file asset, and the names of the parameters that it is handed over in."""

    path: str
    packaging: Literal["zip", "file"]
    hash: Annotated[str, "sourceHash", _HASH]
    bucket: Annotated[str, "s3BucketParameter", _NOT_EMPTY]
    key: Annotated[str, "s3KeyParameter", _NOT_EMPTY]
    artifact_hash: Annotated[str, "artifactHashParameter", _NOT_EMPTY]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAssetManifestProperties:
    """Properties of `cdk:asset-manifest`."""

    file: str
    bootstrap_version: Annotated[int, "requiresBootstrapStackVersion"] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNestedProperties:
    """Properties of `cdk:cloud-assembly`."""

    directory: Annotated[str, "directoryName"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFileSource:
    """Where a file asset comes from. `executable` is a command that CDK's own publisher would run."""

    path: str | None = None
    executable: list[str] | None = None
    packaging: str = Packaging.FILE.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFileDestination:
    """Where a file asset goes. The role that it names is not read."""

    bucket: Annotated[str, "bucketName"]
    key: Annotated[str, "objectKey", _NOT_EMPTY]
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFileAsset:
    """An entry of `files` in an asset manifest."""

    display_name: Annotated[str, "displayName"] = ""
    source: RawFileSource
    destinations: Mapping[str, RawFileDestination]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImageDestination:
    """Where an image goes. The role that it names is not read."""

    repository: Annotated[str, "repositoryName"]
    tag: Annotated[str, "imageTag"]
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawImageAsset:
    """An entry of `dockerImages` in an asset manifest; `source` holds everything that a build may be told."""

    display_name: Annotated[str, "displayName"] = ""
    source: Mapping[str, Any]
    destinations: Mapping[str, RawImageDestination]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAssetManifest:
    """An asset manifest's file."""

    version: str
    files: Mapping[str, RawFileAsset] = field(default_factory=dict)
    images: Annotated[Mapping[str, RawImageAsset], "dockerImages"] = field(default_factory=dict)


_Shape = TypeVar("_Shape")


def parse(shape: type[_Shape], document: Mapping[str, Any], name: str) -> _Shape:
    """Return `document` as `shape`; raises `MalformedAssembly` that says where in the file `name` it differs."""
    try:
        return read(shape, document)
    except NotOfShape as error:
        raise MalformedAssembly(f"{name} has not CDK's shape at {error.where!a}: {error.how}.", SYNTH_AGAIN) from None


def check_version(version: str, name: str) -> None:
    """Raise `UnknownSchemaVersion` unless `version` (`55.0.0`) is of a major version that is known here."""
    major = version.split(".", 1)[0]
    if not (major.isascii() and major.isdigit() and len(major) < 6):
        raise MalformedAssembly(f"{name} has the version {version!a}, which is none.", SYNTH_AGAIN)
    if int(major) > NEWEST_SCHEMA:
        raise UnknownSchemaVersion(
            f"{name} is of schema version {version}, newer than {NEWEST_SCHEMA}, the newest that is known here.",
            "Update Stagedoor, or pin aws-cdk-lib to 2.275.0 or older.",
        )
    if int(major) < OLDEST_SCHEMA:
        raise UnknownSchemaVersion(
            f"{name} is of schema version {version}; those before {OLDEST_SCHEMA} come from CDK 1.",
            "Update the app to aws-cdk-lib 2.",
        )
