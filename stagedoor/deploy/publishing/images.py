"""Container images of an assembly: their address, and what their builds may ask for. Nothing here runs anything.

An image's tag is `<trust>-<hash>`, where the hash is ours, of the build context and of every option that changes the
outcome. What base images hold is not in it: a context that stays the same is not built again when they change.

A build is a program that runs where the image is built, so the target says what it may have (`Target.image_builds`).
Source of the options: https://docs.docker.com/reference/cli/docker/buildx/build/ and
https://github.com/aws/aws-cdk-cli/blob/main/packages/%40aws-cdk/cloud-assembly-schema/lib/assets/docker-image-asset.ts
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from stagedoor.assembly.model import DockerImageAsset
from stagedoor.assembly.shapes import NotOfShape, read
from stagedoor.assembly.target_names import image_repository, resolved
from stagedoor.deploy.publishing.asset_files import bytes_hash
from stagedoor.errors import UserError
from stagedoor.target import ImageBuilds, Target

_FORMAT = b"stagedoor-image-1\n"
"""Part of each hash: raised when the same context and options are built in another way."""

_CACHES = frozenset({"cacheFrom", "cacheTo", "cacheDisabled"})
_CONFINED_NETWORKS = frozenset({None, "default", "none"})


class ImageBuildsRefused(UserError):
    """The app has a container image, and the target builds none."""

    id = "image-builds-refused"


class ImageOptionRefused(UserError):
    """A build asks for something of the machine that builds, or for something that is not known here."""

    id = "image-option-refused"


class ForeignImageRepository(UserError):
    """An image is to go to a repository that the target does not have for images."""

    id = "foreign-image-repository"


@dataclass(frozen=True, slots=True)
class _Cache:
    type: str
    params: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return ",".join((f"type={self.type}", *(f"{name}={value}" for name, value in self.params.items())))


@dataclass(frozen=True, slots=True)
class _Build:
    """What an asset manifest says about a build, beside its context."""

    file: Annotated[str, "dockerFile"] = "Dockerfile"
    target: Annotated[str | None, "dockerBuildTarget"] = None
    arguments: Annotated[Mapping[str, str], "dockerBuildArgs"] = field(default_factory=dict)
    contexts: Annotated[Mapping[str, str], "dockerBuildContexts"] = field(default_factory=dict)
    secrets: Annotated[Mapping[str, str], "dockerBuildSecrets"] = field(default_factory=dict)
    ssh: Annotated[str | None, "dockerBuildSsh"] = None
    network: Annotated[str | None, "networkMode"] = None
    platform: str | None = None
    cache_from: Annotated[list[_Cache], "cacheFrom"] = field(default_factory=list)
    cache_to: Annotated[_Cache | None, "cacheTo"] = None
    no_cache: Annotated[bool, "cacheDisabled"] = False

    def wants_of_machine(self) -> str:
        """Return what the build wants of the machine that builds, in words; empty when nothing."""
        wants = {
            "secrets": self.secrets,
            "an SSH agent": self.ssh,
            "further build contexts": self.contexts,
            f"the network {self.network!a}": self.network not in _CONFINED_NETWORKS,
        }
        return ", ".join(words for words, wanted in wants.items() if wanted)


def check_image(asset: DockerImageAsset, stack_name: str, target: Target) -> None:
    """Raise `ImageBuildsRefused`, `ImageOptionRefused` or `ForeignImageRepository` for what the target does not do."""
    if target.image_builds == ImageBuilds.REFUSED:
        raise ImageBuildsRefused(
            f"The stack {stack_name} needs the container image {image_name(asset)!a}, and the target {target.name!r} "
            "builds none.",
            "Refer to an image that is in a registry already, or have the target's operator allow image builds.",
        )
    expected = image_repository(target)
    if resolved(asset.repository, target) != expected:
        raise ForeignImageRepository(
            f"The stack {stack_name} wants its images in the repository {asset.repository!a}; the target "
            f"{target.name!r} keeps them in {expected!r}.",
            "Use the default stack synthesizer with the target's qualifier, without a repository name of its own.",
        )
    build_arguments(asset, target.image_builds)


def image_name(asset: DockerImageAsset) -> str:
    """Return what people call the image."""
    return asset.display_name or asset.claimed_hash[:12]


def image_hash(asset: DockerImageAsset) -> str:
    """Return the SHA-256 of the build's context (names, modes, bytes, links) and of its options, caches excepted."""
    options = {name: value for name, value in asset.build.items() if name not in _CACHES}
    whole = hashlib.sha256(_FORMAT + json.dumps(options, sort_keys=True).encode() + b"\n")
    for line in _context(asset.source):
        whole.update(json.dumps(line).encode() + b"\n")
    return whole.hexdigest()


def build_arguments(asset: DockerImageAsset, builds: ImageBuilds) -> list[str]:
    """Return the options of `docker buildx build` for an image, its context last.

    Each option is one argument (`--name=value`), so that no value is taken for another option. A confined build has no
    cache of its own, which costs time alone. Attestations are left out: Lambda takes no image index.
    """
    build = _options(asset)
    if builds != ImageBuilds.TRUSTED and (wants := build.wants_of_machine()):
        raise ImageOptionRefused(
            f"The build of the container image {image_name(asset)!a} wants {wants}, which this target gives to none.",
            "Build without it, or have the target's operator trust its apps' image builds.",
        )
    said = [("file", str(_dockerfile(asset, build))), ("target", build.target), ("platform", build.platform)]
    said += [("network", build.network), ("ssh", build.ssh)]
    said += [("build-arg", f"{name}={value}") for name, value in build.arguments.items()]
    said += [("build-context", f"{name}={value}") for name, value in build.contexts.items()]
    said += [("secret", f"id={name},{value}") for name, value in build.secrets.items()]
    if builds == ImageBuilds.TRUSTED:
        said += [("cache-from", cache.text()) for cache in build.cache_from]
        said += [("cache-to", build.cache_to.text() if build.cache_to else None)]
    options = [f"--{name}={value}" for name, value in said if value is not None]
    options += ["--no-cache"] if build.no_cache else []
    return [*options, "--provenance=false", "--sbom=false", "--progress=plain", "--load", str(asset.source)]


def _options(asset: DockerImageAsset) -> _Build:
    try:
        return read(_Build, asset.build, closed=True)
    except NotOfShape as error:
        raise ImageOptionRefused(
            f"The build of the container image {image_name(asset)!a} has an option that cannot be used: "
            f"{error.where!a}.",
            "Leave the option out.",
            detail=error.how,
        ) from None


def _dockerfile(asset: DockerImageAsset, build: _Build) -> Path:
    file = Path(os.path.realpath(asset.source / build.file))
    if not file.is_relative_to(asset.source) or not file.is_file():
        raise ImageOptionRefused(
            f"The Dockerfile {build.file!a} of the container image {image_name(asset)!a} is not in its context.",
            "Put it into the directory that the image is built from.",
        )
    return file


def _context(directory: Path) -> Iterator[list[str | bool]]:
    """Yield a line for each entry of a build context. Links are taken as links: that is how a build gets them."""
    for place, folders, files in os.walk(directory, followlinks=False):
        folders.sort()
        here = Path(place)
        yield ["folder", here.relative_to(directory).as_posix()]
        for name in sorted([*files, *(folder for folder in folders if (here / folder).is_symlink())]):
            path = here / name
            status = path.lstat()
            entry = path.relative_to(directory).as_posix()
            if stat.S_ISLNK(status.st_mode):
                yield ["link", entry, os.readlink(path)]
            else:
                yield ["file", entry, bool(status.st_mode & stat.S_IXUSR), bytes_hash(path)]
