"""Container images: their address, what their builds may ask for, and the calls by which they are built and pushed.

Docker is a script here (`scripted_docker.py`); the registry is the local AWS's.
"""

import json
import shutil
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from demo.aws.server import LocalAws
from stagedoor.assembly.model import Assembly, DockerImageAsset
from stagedoor.assembly.target_names import image_repository
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.deploy.publishing.docker import ImageBuildFailed, ImagePushFailed, NoDocker
from stagedoor.deploy.publishing.images import (
    ForeignImageRepository,
    ImageBuildsRefused,
    ImageOptionRefused,
    build_arguments,
    image_hash,
)
from stagedoor.deploy.publishing.publish import Publishing
from stagedoor.deploy.publishing.registry import NoImageRepository
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.deploy.together import run_alone
from stagedoor.errors import LeaseLost
from stagedoor.events import Emit, Event, EventKind, silent
from stagedoor.target import ImageBuilds, Target, Trust
from tests.stagedoor.deploy import scripted_docker
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, stack, template

CLAIMED = "b" * 64
TARGET = Target("t", "111122223333", "us-east-1", image_builds=ImageBuilds.CONFINED)


def image(directory: Path, target: Target = TARGET, **build: Any) -> DockerImageAsset:
    context = directory / "asset.image"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY app.py /\n")
    (context / "app.py").write_text("print()")
    return DockerImageAsset(CLAIMED, context.resolve(), image_repository(target), CLAIMED, "Worker", build)


def with_image(directory: Path, asset: DockerImageAsset, target: Target = TARGET, **resources: Any) -> Assembly:
    one = stack(directory, "One", template(Value=parameter("x"), **resources), assets=(asset,))
    return address_assets(Assembly(directory, (one,)), target, directory / "addressed")


def publish(assembly: Assembly, clients: Clients, emit: Emit = silent) -> None:
    with Publishing(assembly, ["One"], clients, emit) as publishing:
        run_alone(publishing.until_done())


def tag_of(assembly: Assembly) -> str:
    (asset,) = assembly.stacks[0].assets
    assert isinstance(asset, DockerImageAsset)
    return asset.tag


def test_a_template_names_the_image_by_our_hash(tmp_path: Path):
    uri = f"${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/{image_repository(TARGET)}:{CLAIMED}"
    task = {"Type": "AWS::ECS::TaskDefinition", "Properties": {"Image": {"Fn::Sub": uri}, "Tag": CLAIMED}}
    assembly = with_image(tmp_path, image(tmp_path), Task=task)
    tag = tag_of(assembly)
    assert tag == f"preview-{image_hash(image(tmp_path))}"
    written = json.loads(assembly.stacks[0].template_path.read_text())["Resources"]["Task"]["Properties"]
    assert written == {"Image": {"Fn::Sub": uri.replace(CLAIMED, tag)}, "Tag": tag}
    production = replace(TARGET, trust=Trust.PRODUCTION)
    assert tag_of(with_image(tmp_path, image(tmp_path), production)).startswith("production-")


def _add_folder(context: Path) -> None:
    (context / "empty").mkdir()


@pytest.mark.parametrize(
    "change",
    [
        lambda context: (context / "app.py").write_text("changed"),
        lambda context: (context / "app.py").chmod(0o755),
        lambda context: (context / "app.py").rename(context / "main.py"),
        lambda context: (context / "link").symlink_to("app.py"),
        _add_folder,
    ],
)
def test_whatever_changes_the_context_changes_the_hash(tmp_path: Path, change: Callable[[Path], object]):
    asset = image(tmp_path)
    before = image_hash(asset)
    change(asset.source)
    assert image_hash(asset) != before


def test_options_are_part_of_the_hash_and_caches_are_not(tmp_path: Path):
    plain = image_hash(image(tmp_path))
    assert image_hash(image(tmp_path, platform="linux/arm64")) != plain
    assert image_hash(image(tmp_path, dockerBuildArgs={"A": "1"})) != plain
    assert image_hash(image(tmp_path, cacheFrom=[{"type": "gha"}], cacheDisabled=True)) == plain


def test_a_build_s_options_are_docker_s(tmp_path: Path):
    (image(tmp_path).source / "other").write_text("FROM scratch")
    asset = image(
        tmp_path,
        dockerFile="other",
        dockerBuildTarget="final",
        dockerBuildArgs={"A": "--privileged"},
        dockerBuildContexts={"base": "docker-image://alpine"},
        dockerBuildSecrets={"npm": "src=/home/me/.npmrc"},
        dockerBuildSsh="default",
        networkMode="host",
        platform="linux/arm64",
        cacheFrom=[{"type": "registry", "params": {"ref": "r/c", "mode": "max"}}],
        cacheTo={"type": "inline"},
        cacheDisabled=True,
    )
    assert build_arguments(asset, ImageBuilds.TRUSTED) == [
        f"--file={asset.source}/other",
        "--target=final",
        "--platform=linux/arm64",
        "--network=host",
        "--ssh=default",
        "--build-arg=A=--privileged",
        "--build-context=base=docker-image://alpine",
        "--secret=id=npm,src=/home/me/.npmrc",
        "--cache-from=type=registry,ref=r/c,mode=max",
        "--cache-to=type=inline",
        "--no-cache",
        "--provenance=false",
        "--sbom=false",
        "--progress=plain",
        "--load",
        str(asset.source),
    ]


@pytest.mark.parametrize(
    "build",
    [
        {"dockerBuildSecrets": {"a": "src=/etc/shadow"}},
        {"dockerBuildSsh": "default"},
        {"dockerBuildContexts": {"a": "/etc"}},
        {"networkMode": "host"},
        {"dockerOutputs": ["type=local,dest=/etc"]},
        {"dockerBuildArgs": ["A"]},
        {"dockerBuildArgs": {"A": 1}},
        {"dockerFile": "../../etc/passwd"},
        {"dockerFile": "/etc/passwd"},
        {"dockerFile": "link"},
        {"unheardOf": True},
    ],
)
def test_a_stranger_s_build_gets_nothing_of_this_machine(tmp_path: Path, build: dict[str, Any]):
    asset = image(tmp_path, **build)
    (asset.source / "link").symlink_to("/etc/passwd")
    with pytest.raises(ImageOptionRefused):
        with_image(tmp_path, asset)


def test_a_stranger_s_build_has_no_cache_but_is_built(tmp_path: Path):
    asset = image(tmp_path, cacheFrom=[{"type": "local", "params": {"src": "/etc"}}], cacheTo={"type": "local"})
    assert not [option for option in build_arguments(asset, ImageBuilds.CONFINED) if "cache" in option]


def test_a_target_that_builds_no_images_says_so(tmp_path: Path):
    with pytest.raises(ImageBuildsRefused, match="Worker"):
        with_image(tmp_path, image(tmp_path), replace(TARGET, image_builds=ImageBuilds.REFUSED))


def test_a_foreign_repository_is_refused(tmp_path: Path):
    with pytest.raises(ForeignImageRepository, match="somebody-elses"):
        with_image(tmp_path, replace(image(tmp_path), repository="somebody-elses"))


class ScriptedDocker:
    """A `docker` on the PATH that writes its calls down."""

    def __init__(self, folder: Path, aws: dict[str, str]) -> None:
        self.folder = folder
        self._aws = aws
        program = folder / "docker"
        shutil.copy(scripted_docker.__file__, program)
        program.write_text(program.read_text().replace("#!/usr/bin/env python3", f"#!{sys.executable}"))
        program.chmod(0o755)
        self.script()

    def script(self, **script: Any) -> None:
        (self.folder / "script.json").write_text(json.dumps({"aws": self._aws, **script}))

    def calls(self, name: str) -> list[Any]:
        calls = [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]
        return [call for call in calls if " ".join(call["argv"]).startswith(name)]


@pytest.fixture
def docker(tmp_path: Path, target: Target, deploy_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> ScriptedDocker:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return ScriptedDocker(folder, {"key": target.account, "endpoint": deploy_aws.endpoint})


@pytest.fixture
def builder(target: Target, clients: Clients) -> Target:
    """A target that builds images."""
    return replace(target, image_builds=ImageBuilds.CONFINED)


def test_an_image_is_built_pushed_and_then_left_alone(app: Path, builder: Target, docker: ScriptedDocker):
    assembly = with_image(app, image(app, builder), builder)
    events: list[Event] = []
    publish(assembly, Clients(builder), events.append)
    (build,), (push,) = docker.calls("buildx build"), docker.calls("push")
    name = f"{builder.account}.dkr.ecr.us-east-1.amazonaws.com/{image_repository(builder)}:{tag_of(assembly)}"
    assert build["argv"][2] == f"--tag={name}"
    assert push["argv"] == ["push", name]
    assert {event.message for event in events if event.kind is EventKind.LOG} == {
        "buildx build was called",
        "push was called",
    }
    publish(assembly, Clients(builder), events.append)
    told = [event.status for event in events if event.kind is EventKind.ASSET and event.status != "uploading"]
    assert told == ["uploaded", "present"]
    assert len(docker.calls("")) == 5  # context, buildx version, version, build, push


def test_the_build_of_a_stranger_sees_no_credentials_and_nothing_of_us(
    app: Path, builder: Target, docker: ScriptedDocker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STAGEDOOR_SECRET", "ours")
    publish(with_image(app, image(app, builder), builder), Clients(builder))
    (build,), (push,) = docker.calls("buildx build"), docker.calls("push")
    assert not {name for name in build["env"] if name.startswith(("AWS", "STAGEDOOR"))}
    assert "auths" not in build["config"]
    ((registry, login),) = push["config"]["auths"].items()
    assert registry == f"{builder.account}.dkr.ecr.us-east-1.amazonaws.com"
    assert b64decode(login["auth"]).startswith(b"AWS:")
    assert not Path(push["env"]["DOCKER_CONFIG"]).exists()
    assert not Path(build["env"]["HOME"]).exists()


def test_the_build_of_an_author_is_the_author_s_own(
    app: Path, builder: Target, docker: ScriptedDocker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")
    trusting = replace(builder, image_builds=ImageBuilds.TRUSTED)
    publish(with_image(app, image(app, builder), trusting), Clients(trusting))
    (build,), (push,) = docker.calls("buildx build"), docker.calls("push")
    assert "DOCKER_CONFIG" not in build["env"]
    assert build["env"]["DOCKER_CONTEXT"] == "colima"
    assert "DOCKER_CONTEXT" not in push["env"]
    assert build["env"]["HOME"] == str(docker.folder.parent / "home")
    assert push["env"]["DOCKER_HOST"] == "context inspect was called"  # what the script prints when it is asked


@pytest.mark.parametrize("broken", [{"codes": {"buildx version": 1}}, {"codes": {"version": 1}}, None])
def test_without_a_docker_nothing_is_begun(
    app: Path, builder: Target, docker: ScriptedDocker, broken: dict[str, Any] | None
):
    if broken is None:
        (docker.folder / "docker").unlink()
    else:
        docker.script(**broken)
    one = stack(app, "One", template(Value=parameter("x")), assets=(image(app, builder),))
    two = stack(app, "Two", template(Value=parameter("x")))
    with pytest.raises(NoDocker, match="Docker"):
        deploy(Assembly(app, (two, one)), IDENTITY, Clients(builder), MemoryLedger("1"), silent)
    assert [found.name for found in read_all_stacks(Clients(builder))] == [f"stagedoor-bootstrap-{builder.qualifier}"]


def test_what_cannot_be_built_is_said_in_docker_s_words(app: Path, builder: Target, docker: ScriptedDocker):
    docker.script(codes={"buildx build": 1})
    with pytest.raises(ImageBuildFailed) as failed:
        publish(with_image(app, image(app, builder), builder), Clients(builder))
    assert failed.value.detail == "buildx build was called"
    assert docker.calls("push") == []


def test_a_push_that_fails_is_fine_when_another_pushed(app: Path, builder: Target, docker: ScriptedDocker):
    docker.script(codes={"push": 1})
    assembly = with_image(app, image(app, builder), builder)
    with pytest.raises(ImagePushFailed):
        publish(assembly, Clients(builder))
    docker.script(codes={"push": 1}, seconds={"push": 1.5})

    def push_meanwhile(event: Event) -> None:
        if event.message == "push was called":
            boto3.Session().client("ecr").put_image(
                repositoryName=image_repository(builder), imageTag=tag_of(assembly), imageManifest="{}"
            )

    publish(assembly, Clients(builder), push_meanwhile)


def test_a_cancelled_run_ends_its_build(app: Path, builder: Target, docker: ScriptedDocker):
    docker.script(seconds={"buildx build": 60})
    with Publishing(with_image(app, image(app, builder), builder), ["One"], Clients(builder), silent):
        while not docker.calls("buildx build"):
            time.sleep(0.05)
        asked = time.monotonic()
    assert time.monotonic() - asked < 10


def test_who_lost_the_lease_while_building_pushes_nothing(app: Path, builder: Target, docker: ScriptedDocker):
    def lost() -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        publish(with_image(app, image(app, builder), builder), Clients(builder, before_change=lost))
    assert docker.calls("push") == []


def test_an_account_without_a_repository_says_so(app: Path, target: Target, clients: Clients, docker: ScriptedDocker):
    boto3.Session().client("ecr").delete_repository(repositoryName=image_repository(target))
    with pytest.raises(NoImageRepository, match="create-repository"):
        publish(with_image(app, image(app, target), replace(target, image_builds=ImageBuilds.CONFINED)), clients)
