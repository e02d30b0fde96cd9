import json
import os
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.asset_manifest import ExecutableAsset
from stagedoor.assembly.documents import DOCUMENT_DEPTH, MalformedAssembly, PathOutsideAssembly
from stagedoor.assembly.legacy_assets import LegacySynthesizer
from stagedoor.assembly.model import Annotation, Assembly, DockerImageAsset, FileAsset, Level, Packaging
from stagedoor.assembly.reader import DependencyCycle, NoAssembly, read_assembly
from stagedoor.assembly.schema import UnknownArtifact, UnknownSchemaVersion
from stagedoor.errors import UserError
from tests.stagedoor.assembly.conftest import Write, file_asset


def test_stacks_come_after_those_they_depend_on(app: Assembly) -> None:
    places = {stack.id: place for place, stack in enumerate(app.stacks)}
    assert places["Data"] < places["Api"]
    assert places["Near"] < places["Far"]
    assert app.stack("Api").dependencies == ("Data",)


def test_stacks_of_a_stage_are_read_from_its_nested_assembly(app: Assembly) -> None:
    inside = app.stack("assembly-Blue/BlueInside90A95C9E")
    assert (inside.own_name, inside.name) == ("Blue-Inside", "Blue-Inside")
    assert (inside.account, inside.region) == ("unknown-account", "unknown-region")


def test_a_stack_as_cdk_wrote_it(app: Assembly) -> None:
    api = app.stack("Api")
    assert api.tags == {"team": "notes"}
    assert api.termination_protection
    assert api.bootstrap_version == 6
    assert api.construct_paths["HandlerServiceRoleFCDC14AE"] == "Api/Handler/ServiceRole/Resource"
    assert (app.stack("Far").account, app.stack("Far").region) == ("123456789012", "eu-west-1")


def test_assets_are_those_of_the_stack_without_its_own_template(app: Assembly) -> None:
    assets = app.stack("Api").assets
    templates = [asset for asset in assets if isinstance(asset, FileAsset) and asset.is_template]
    zips = [asset for asset in assets if isinstance(asset, FileAsset) and asset.packaging is Packaging.ZIP]
    assert len(templates) == 2
    assert len(zips) == 1
    assert zips[0].source.is_dir()
    assert zips[0].bucket == "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
    assert app.stack("Data").template_path not in [asset.source for asset in app.stack("Data").assets]


def test_docker_images_are_read(write: Write) -> None:
    image = {
        "source": {"directory": "image", "dockerFile": "Dockerfile.arm"},
        "destinations": {"here": {"repositoryName": "images", "imageTag": "abc"}},
    }
    directory = write(images={"abc": image})
    (directory / "image").mkdir()
    (asset,) = read_assembly(directory).stacks[0].assets
    assert asset == DockerImageAsset(
        "abc", directory / "image", "images", "abc", build={"dockerFile": "Dockerfile.arm"}
    )


def test_a_stack_waits_for_what_its_assets_wait_for(write: Write) -> None:
    assets = {"type": "cdk:asset-manifest", "properties": {"file": "Assets.json"}, "dependencies": ["First"]}
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "First.template.json"},
        "dependencies": ["Staged"],
    }
    directory = write({"First": {}}, artifacts={"Second": stack, "Staged": assets})
    assert read_assembly(directory).stack("Second").dependencies == ("First",)


def test_tags_of_an_older_cdk(write: Write) -> None:
    tags = [{"type": "aws:cdk:stack-tags", "data": [{"Key": "team", "Value": "notes"}]}]
    directory = write()
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"]["Only"]["metadata"] = {"/Only": tags}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert read_assembly(directory).stacks[0].tags == {"team": "notes"}


def test_missing_context_is_kept(write: Write) -> None:
    missing = {"key": "vpc", "provider": "vpc-provider", "props": {}}
    assert read_assembly(write(missing=[missing])).missing_context == (missing,)


def nested(directory: str) -> dict[str, Any]:
    return {"Inner": {"type": "cdk:cloud-assembly", "properties": {"directoryName": directory}}}


def stack(**changes: Any) -> dict[str, Any]:
    whole = {"type": "aws:cloudformation:stack", "environment": "aws://1/r", "properties": {"templateFile": "x"}}
    return {"Bad": {**whole, **changes}}


def docker(**source: Any) -> dict[str, Any]:
    return {"abc": {"source": source, "destinations": {"d": {"repositoryName": "r", "imageTag": "t"}}}}


HOSTILE: dict[str, tuple[dict[str, Any], type[UserError]]] = {
    "executable file asset": (
        {"files": {"a": {"source": {"executable": ["sh", "-c", "id"]}, "destinations": {}}}},
        ExecutableAsset,
    ),
    "executable beside a path": (
        {"files": {"a": {**file_asset("x"), "source": {"path": "x", "executable": ["id"]}}}},
        ExecutableAsset,
    ),
    "executable image": ({"images": docker(executable=["id"])}, ExecutableAsset),
    "absolute asset": ({"files": {"a": file_asset("/etc", packaging="zip")}}, PathOutsideAssembly),
    "asset above": ({"files": {"a": file_asset("../..")}}, PathOutsideAssembly),
    "asset above that is not there": ({"files": {"a": file_asset("../nobody")}}, PathOutsideAssembly),
    "asset that is not there": ({"files": {"a": file_asset("nobody")}}, MalformedAssembly),
    "asset with a NUL": ({"files": {"a": file_asset("a\0b")}}, MalformedAssembly),
    "asset with a lone surrogate": ({"files": {"a": file_asset("\ud800")}}, MalformedAssembly),
    "asset of a backslash": ({"files": {"a": file_asset("..\\x")}}, PathOutsideAssembly),
    "asset that goes nowhere": (
        {"files": {"a": {"source": {"path": "Assets.json", "packaging": "file"}, "destinations": {}}}},
        MalformedAssembly,
    ),
    "asset of an unknown packaging": ({"files": {"a": file_asset("Assets.json", packaging="tar")}}, MalformedAssembly),
    "zip of a file": ({"files": {"a": file_asset("Assets.json", packaging="zip")}}, MalformedAssembly),
    "absolute image": ({"images": docker(directory="/")}, PathOutsideAssembly),
    "absolute template": ({"properties": {"templateFile": "/etc/hostname"}}, PathOutsideAssembly),
    "template above": ({"properties": {"templateFile": "../outside.json"}}, PathOutsideAssembly),
    "template that is a directory": ({"properties": {"templateFile": "."}}, MalformedAssembly),
    "absolute asset manifest": (
        {"artifacts": {"B": {"type": "cdk:asset-manifest", "properties": {"file": "/x"}}}},
        PathOutsideAssembly,
    ),
    "absolute metadata": ({"artifacts": stack(additionalMetadataFile="/x")}, UserError),
    "nested assembly above": ({"artifacts": nested("..")}, PathOutsideAssembly),
    "nested assembly that is this one": ({"artifacts": nested(".")}, MalformedAssembly),
    "unknown artifact": ({"artifacts": {"X": {"type": "cdk:plugin"}}}, UnknownArtifact),
    "newer schema": ({"version": "56.0.0"}, UnknownSchemaVersion),
    "schema of CDK 1": ({"version": "8.0.0"}, UnknownSchemaVersion),
    "no schema": ({"version": "latest"}, MalformedAssembly),
    "dependency on nothing": ({"artifacts": stack(dependencies=["Nobody"])}, UserError),
    "no environment": ({"environment": "somewhere"}, MalformedAssembly),
    "name that is a number": ({"properties": {"stackName": 7}}, MalformedAssembly),
    "tags that are a list": ({"properties": {"tags": []}}, MalformedAssembly),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_manifest_is_refused(write: Write, case: str) -> None:
    arguments, error = HOSTILE[case]
    with pytest.raises(error) as refused:
        read_assembly(write(**arguments))
    assert refused.value.id
    assert refused.value.remedy


def test_each_kind_of_refusal_has_an_id_of_its_own() -> None:
    kinds = [NoAssembly, MalformedAssembly, PathOutsideAssembly, ExecutableAsset, UnknownArtifact]
    kinds += [UnknownSchemaVersion, DependencyCycle, LegacySynthesizer]
    assert len({kind.id for kind in kinds}) == len(kinds)


def test_no_assembly(tmp_path: Path) -> None:
    with pytest.raises(NoAssembly, match="There is no manifest"):
        read_assembly(tmp_path / "nobody")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", '{"version": NaN}', "[" * 100_000, '{"a":' * 100_000])
def test_what_is_not_json_is_named(write: Write, text: str) -> None:
    directory = write()
    (directory / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(MalformedAssembly, match=r"manifest\.json"):
        read_assembly(directory)


def test_a_template_that_is_too_deep(write: Write) -> None:
    template: dict[str, Any] = {}
    for _ in range(DOCUMENT_DEPTH):
        template = {"deeper": template}
    with pytest.raises(MalformedAssembly, match="deeper than"):
        read_assembly(write({"Deep": template}))


def test_a_template_that_is_too_large(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stagedoor.assembly.documents.DOCUMENT_BYTES", 2000)
    with pytest.raises(MalformedAssembly, match="larger than"):
        read_assembly(write({"Large": {"Description": "x" * 2000}}))


def test_assemblies_that_hold_each_other(write: Write) -> None:
    directory = write(artifacts=nested("one"))
    for here, there in (("one", "../two"), ("two", "../one")):
        (directory / here).mkdir()
        manifest = {"version": "55.0.0", "artifacts": nested(there)}
        (directory / here / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(MalformedAssembly, match="not an assembly within this one"):
        read_assembly(directory)


def test_an_assembly_that_is_named_without_end(write: Write) -> None:
    named = {f"Again{number}": nested("one")["Inner"] for number in range(101)}
    directory = write(artifacts=named)
    (directory / "one").mkdir()
    (directory / "one" / "manifest.json").write_text('{"version": "55.0.0"}')
    with pytest.raises(MalformedAssembly, match="more than 100 manifests"):
        read_assembly(directory)


def test_a_circle_of_stacks(write: Write) -> None:
    directory = write({"A": {}, "B": {}})
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"]["A"]["dependencies"] = ["B"]
    manifest["artifacts"]["B"]["dependencies"] = ["A"]
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DependencyCycle, match="A, B"):
        read_assembly(directory)


def legacy(**changes: Any) -> dict[str, Any]:
    hash_ = "0" * 64
    parameters = {"s3BucketParameter": "B", "s3KeyParameter": "K", "artifactHashParameter": "H"}
    return {"packaging": "file", "path": "Only.template.json", "sourceHash": hash_, **parameters, **changes}


LEGACY: dict[str, tuple[Any, type[UserError]]] = {
    "nothing": (None, LegacySynthesizer),
    "an image": ({"packaging": "container-image"}, LegacySynthesizer),
    "a nested template": (legacy(), LegacySynthesizer),
    "a program": (legacy(packaging="executable"), MalformedAssembly),
    "a path outside": (legacy(path="../../x"), PathOutsideAssembly),
    "a folder that is none": (legacy(packaging="zip"), MalformedAssembly),
    "a hash that is a path": (legacy(sourceHash="../../x"), MalformedAssembly),
}


@pytest.mark.parametrize("what", LEGACY)
def test_assets_as_parameters(write: Write, what: str) -> None:
    data, kind = LEGACY[what]
    directory = write()
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"]["Only"]["metadata"] = {"/Only": [{"type": "aws:cdk:asset", "data": data}]}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(kind, match=r"Only|x"):
        read_assembly(directory)


JSON_BOMBS = {
    "a name twice": '{"version": "55.0.0", "version": "56.0.0"}',
    "a name twice, deep inside": '{"version": "55.0.0", "artifacts": {"A": {"type": "none", "type": "cdk:tree"}}}',
    "an infinite number": '{"version": "55.0.0", "x": 1e999}',
    "a long number": '{"version": "55.0.0", "x": %s}' % ("9" * 400),
    "a longer number": '{"version": "55.0.0", "x": %s}' % ("9" * 1_000_000),
    "not a number": '{"version": "55.0.0", "x": NaN}',
    "a hundred thousand lists": '{"version": "55.0.0", "x": %s}' % ("[" * 100_000),
}


@pytest.mark.parametrize("what", JSON_BOMBS)
def test_json_that_readers_would_not_agree_on(write: Write, what: str) -> None:
    directory = write()
    (directory / "manifest.json").write_text(JSON_BOMBS[what])
    with pytest.raises(MalformedAssembly):
        read_assembly(directory)


def test_one_large_template_for_many_stacks(write: Write) -> None:
    """It is read again for each of them, so that a small assembly could keep us busy for minutes."""
    large = {"Description": "x" * 7_000_000}
    other = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "Only.template.json"},
    }
    with pytest.raises(MalformedAssembly, match="64 MiB"):
        read_assembly(write({"Only": large}, artifacts={f"Other{number}": other for number in range(20)}))


def test_many_assets_for_many_stacks(write: Write) -> None:
    asset = file_asset("Only.template.json", packaging="file")
    directory = write({"Only": {}, "Other": {}, "Third": {}}, files={str(number): asset for number in range(2_000)})
    (directory / "copy.txt").write_text("")
    manifest = (directory / "Assets.json").read_text().replace("Only.template.json", "copy.txt")
    (directory / "Assets.json").write_text(manifest)
    with pytest.raises(MalformedAssembly, match="5000 assets"):
        read_assembly(directory)


def test_what_constructs_say_is_kept(write: Write) -> None:
    directory = write()
    manifest = json.loads((directory / "manifest.json").read_text())
    said = [{"type": "aws:cdk:error", "data": "b\x1b[31mad"}, {"type": "aws:cdk:warning", "data": "odd"}]
    manifest["artifacts"]["Only"]["metadata"] = {"/Only/Thing": [*said, {"type": "aws:cdk:info", "data": "so"}]}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    assert read_assembly(directory).annotations == (
        Annotation("Only/Thing", "b [31mad", Level.ERROR),
        Annotation("Only/Thing", "odd", Level.WARNING),
        Annotation("Only/Thing", "so", Level.NOTE),
    )


@pytest.mark.parametrize("name", ["manifest.json", "Only.template.json", "Assets.json"])
def test_a_document_that_is_a_link_to_the_outside(write: Write, tmp_path: Path, name: str) -> None:
    directory = write()
    (directory / name).rename(tmp_path / name)
    (directory / name).symlink_to(tmp_path / name)
    with pytest.raises(PathOutsideAssembly):
        read_assembly(directory)


def test_a_pipe_in_the_place_of_a_document_holds_nobody(write: Write) -> None:
    directory = write()
    (directory / "Only.template.json").unlink()
    os.mkfifo(directory / "Only.template.json")
    with pytest.raises(MalformedAssembly, match="not a file"):
        read_assembly(directory)
