"""The shape of the files in a cloud assembly, as far as Stagedoor reads them.

Source: https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema (`manifest.ts`,
`artifact-schema.ts`, `assets/`). Fields that are not named here are not read; roles are among them, since the target's
are used.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly
from stagedoor.assembly.model import Packaging
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


class _Raw(BaseModel):
    # Built when first used: most are not by one assembly, and to build them all takes a tenth of a second.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, defer_build=True)


class MetadataEntry(_Raw):
    """What a construct wrote about itself; `data` may be anything."""

    type: str
    data: Any = None


class RawArtifact(_Raw):
    """One entry of a manifest; `properties` are read by type."""

    type: str
    environment: str = ""
    metadata: Mapping[str, list[MetadataEntry]] = Field(default_factory=dict)
    additional_metadata_file: str | None = Field(default=None, alias="additionalMetadataFile")
    dependencies: list[str] = Field(default_factory=list)
    properties: Mapping[str, Any] = Field(default_factory=dict)
    display_name: str | None = Field(default=None, alias="displayName")


class RawManifest(_Raw):
    """`manifest.json`."""

    version: str
    artifacts: Mapping[str, RawArtifact] = Field(default_factory=dict)
    missing: list[Mapping[str, Any]] = Field(default_factory=list)


class RawStackProperties(_Raw):
    """Properties of `aws:cloudformation:stack`."""

    template_file: str = Field(alias="templateFile")
    stack_name: str | None = Field(default=None, alias="stackName", min_length=1, max_length=255)
    parameters: Mapping[str, str] = Field(default_factory=dict)
    tags: Mapping[str, str] = Field(default_factory=dict)
    notification_arns: list[str] = Field(default_factory=list, alias="notificationArns")
    termination_protection: bool = Field(default=False, alias="terminationProtection")
    bootstrap_version: int = Field(default=0, alias="requiresBootstrapStackVersion")


class RawLegacyAsset(_Raw):
    """The data of an `aws:cdk:asset`: a file asset, and the names of the parameters that it is handed over in."""

    path: str
    packaging: Literal["zip", "file"]
    hash: str = Field(alias="sourceHash", pattern=r"^[0-9a-f]{32,64}$")
    bucket: str = Field(alias="s3BucketParameter", min_length=1)
    key: str = Field(alias="s3KeyParameter", min_length=1)
    artifact_hash: str = Field(alias="artifactHashParameter", min_length=1)


class RawAssetManifestProperties(_Raw):
    """Properties of `cdk:asset-manifest`."""

    file: str
    bootstrap_version: int = Field(default=0, alias="requiresBootstrapStackVersion")


class RawNestedProperties(_Raw):
    """Properties of `cdk:cloud-assembly`."""

    directory: str = Field(alias="directoryName")


class RawFileSource(_Raw):
    """Where a file asset comes from. `executable` is a command that CDK's own publisher would run."""

    path: str | None = None
    executable: list[str] | None = None
    packaging: str = Packaging.FILE.value


class RawFileDestination(_Raw):
    """Where a file asset goes. The role that it names is not read."""

    bucket: str = Field(alias="bucketName")
    key: str = Field(alias="objectKey", min_length=1)
    region: str | None = None


class RawFileAsset(_Raw):
    """An entry of `files` in an asset manifest."""

    display_name: str = Field(default="", alias="displayName")
    source: RawFileSource
    destinations: Mapping[str, RawFileDestination]


class RawImageDestination(_Raw):
    """Where an image goes. The role that it names is not read."""

    repository: str = Field(alias="repositoryName")
    tag: str = Field(alias="imageTag")
    region: str | None = None


class RawImageAsset(_Raw):
    """An entry of `dockerImages` in an asset manifest; `source` holds everything that a build may be told."""

    display_name: str = Field(default="", alias="displayName")
    source: Mapping[str, Any]
    destinations: Mapping[str, RawImageDestination]


class RawAssetManifest(_Raw):
    """An asset manifest's file."""

    version: str
    files: Mapping[str, RawFileAsset] = Field(default_factory=dict)
    images: Mapping[str, RawImageAsset] = Field(default_factory=dict, alias="dockerImages")


_Shape = TypeVar("_Shape", bound=BaseModel)


def parse(shape: type[_Shape], document: Mapping[str, Any], name: str) -> _Shape:
    """Return `document` as `shape`; raises `MalformedAssembly` that says where in the file `name` it differs."""
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedAssembly(f"{name} has not CDK's shape at {where!a}: {first['msg']}.", SYNTH_AGAIN) from None


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
