"""What an image asset tells Docker to do on the machine that builds it.

A build runs where images are published. Its Dockerfile is the app's and runs in containers; these options are Docker's
own and reach the machine itself: its files, its secrets, its network, and registries that it is signed in to.
Source of the options: `docker-image-asset.ts` in
https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema/lib/assets
"""

import os
from collections.abc import Iterator
from typing import Any

from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly, PathOutsideAssembly
from stagedoor.assembly.model import DockerImageAsset
from stagedoor.assembly.rules import AssemblyRules
from stagedoor.errors import UserError

_REMOTE_CONTEXTS = ("docker-image://", "https://", "http://", "git@", "target:")


class HostBuild(UserError):
    """An image whose build would use what the building machine has: a token, a key, its network or its disk."""

    id = "build-uses-host"


def check_image(asset: DockerImageAsset, rules: AssemblyRules) -> None:
    """Raise `PathOutsideAssembly`, `MalformedAssembly` or, where the rules forbid it, `HostBuild`."""
    name = asset.display_name or asset.claimed_hash
    if not asset.source.is_dir():
        raise MalformedAssembly(f"The image {name!a} is not to be built from a directory.", SYNTH_AGAIN)
    dockerfile = asset.build.get("dockerFile", "Dockerfile")
    if not isinstance(dockerfile, str) or "\0" in dockerfile:
        raise MalformedAssembly(f"The image {name!a} names no Dockerfile.", SYNTH_AGAIN)
    within = os.path.realpath(asset.source / dockerfile)
    if os.path.isabs(dockerfile) or not within.startswith(f"{asset.source}{os.sep}"):
        raise PathOutsideAssembly(
            f"The image {name!a} is to be built by {dockerfile!a}, which is outside of its own directory.",
            "Put the Dockerfile into the directory that the image is built from.",
        )
    wishes = [] if rules.host_builds else list(host_wishes(asset))
    if wishes:
        raise HostBuild(
            f"The image {name!a} asks for what the building machine has: {', '.join(wishes)}.",
            "Build it without, or push the image yourself and refer to it; the target's operator decides.",
        )


def host_wishes(asset: DockerImageAsset) -> Iterator[str]:
    """Yield each option, with its names, by which a build reaches the machine that it runs on."""
    build = asset.build
    if _given(build, "dockerBuildSecrets"):
        yield f"secrets ({_names(build['dockerBuildSecrets'])})"
    if _given(build, "dockerBuildSsh"):
        yield "an SSH agent or key"
    if build.get("networkMode") not in (None, "", "default", "none"):
        yield f"the network {str(build['networkMode'])[:50]!a}"
    contexts = build.get("dockerBuildContexts") or {}
    values = contexts.values() if isinstance(contexts, dict) else [contexts]
    if not all(isinstance(value, str) and value.startswith(_REMOTE_CONTEXTS) for value in values):
        yield f"folders ({_names(contexts)})"
    if build.get("dockerOutputs") not in (None, [], ["type=docker"]):
        yield "another place for its output"
    for option in ("cacheFrom", "cacheTo"):
        if _given(build, option):
            yield f"a cache ({option})"


def _given(build: Any, option: str) -> bool:
    return build.get(option) not in (None, "", {}, [])


def _names(value: Any) -> str:
    return ", ".join(ascii(str(name))[1:-1][:50] for name in value) if isinstance(value, dict | list) else "?"
