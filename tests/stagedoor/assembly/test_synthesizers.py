"""Assemblies of a real app with each of CDK's synthesizers, kinds of asset and kinds of artifact."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly, DockerImageAsset, FileAsset, Level, Packaging, Stack
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.assembly.rules import PREVIEW_RULES
from stagedoor.assembly.template_checks import DeniedResourceType
from stagedoor.deploy.publishing.assets import address_assets
from tests.stagedoor.assembly.conftest import TARGET, identity, only, synthesised, template_of

APP = Path(__file__).with_name("synthesizers_app.py")


@pytest.fixture(scope="module")
def apps_own() -> Assembly:
    return read_assembly(synthesised(APP))


def files(stack: Stack) -> list[FileAsset]:
    return [asset for asset in stack.assets if isinstance(asset, FileAsset)]


@pytest.mark.parametrize("name", ["Default", "Credentials", "Legacy"])
def test_each_synthesizers_assets(apps_own: Assembly, name: str) -> None:
    folder, file = sorted(files(apps_own.stack(name)), key=lambda asset: asset.packaging, reverse=True)
    assert (folder.packaging, [each.name for each in folder.source.iterdir()]) == (Packaging.ZIP, ["index.py"])
    assert (file.packaging, file.source.read_text()) == (Packaging.FILE, "hello")


def test_what_each_synthesizer_needs_of_the_bootstrap(apps_own: Assembly) -> None:
    versions = {stack.id: stack.bootstrap_version for stack in apps_own.stacks}
    names = ["Default", "Credentials", "Legacy", "Bootstrapless"]
    assert [versions[name] for name in names] == [6, 0, 0, 0]


@pytest.mark.parametrize("name", ["Default", "Credentials", "Legacy"])
def test_the_function_finds_its_code_whoever_wrote_the_template(apps_own: Assembly, name: str, tmp_path: Path) -> None:
    rewritten = rewrite_assembly(only(apps_own, name), identity("pr-1"), TARGET, tmp_path / "out")
    addressed = address_assets(rewritten.assembly, TARGET, tmp_path / "addressed")
    (stack,) = addressed.stacks
    (key,) = (asset.key for asset in files(stack) if asset.packaging is Packaging.ZIP)
    resources = template_of(addressed, name)["Resources"].values()
    (code,) = (each["Properties"]["Code"] for each in resources if each["Type"] == "AWS::Lambda::Function")
    assert resolved(code["S3Bucket"], stack) == "cdk-previews-assets-123456789012-us-east-1"
    assert resolved(code["S3Key"], stack) == key
    assert key.startswith("preview/")


def resolved(value: Any, stack: Stack) -> str:
    """What CloudFormation makes of the functions that the legacy synthesizer uses."""
    match value:
        case {"Ref": name}:
            return stack.parameters[name]
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(resolved(part, stack) for part in parts)
        case {"Fn::Select": [index, {"Fn::Split": [delimiter, inner]}]}:
            return resolved(inner, stack).split(delimiter)[int(index)]
    return str(value)


def test_an_image(apps_own: Assembly) -> None:
    (image,) = (asset for asset in apps_own.stack("Image").assets if isinstance(asset, DockerImageAsset))
    assert image.build == {"dockerFile": "index.py", "dockerBuildArgs": {"A": "b"}}
    assert image.repository == "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}"


def test_all_that_a_stack_can_be_told(apps_own: Assembly) -> None:
    told = apps_own.stack("Told")
    assert (told.own_name, told.account, told.region) == ("told-by-name", "123456789012", "us-east-1")
    assert (told.tags, told.termination_protection) == ({"team": "notes"}, True)
    assert told.notification_arns == ("arn:aws:sns:us-east-1:123456789012:topic",)
    assert told.dependencies == ("Bootstrapless",)
    assert template_of(apps_own, "Told")["Parameters"]["Word"]["Default"] == "hello"
    (note,) = (note for note in apps_own.annotations if note.construct_path == "Told")
    assert (note.message, note.level) == ("Something to know", Level.WARNING)


def test_a_pipelines_stages_are_read_from_their_nested_assembly(apps_own: Assembly) -> None:
    inside = next(stack for stack in apps_own.stacks if stack.id.startswith("assembly-Delivery-Beta/"))
    assert inside.own_name == "Beta-Inside"
    assert len(files(inside)) == 2


def test_artifacts_that_are_not_deployed_are_known(apps_own: Assembly) -> None:
    manifest = json.loads((apps_own.directory / "manifest.json").read_text())
    kinds = {artifact["type"] for artifact in manifest["artifacts"].values()}
    assert {"cdk:tree", "cdk:feature-flag-report", "cdk:cloud-assembly"} < kinds


def test_what_a_preview_may_not_have_is_found_in_nested_stacks(apps_own: Assembly) -> None:
    serverless = only(apps_own, "Serverless")
    inspect_assembly(serverless, TARGET)
    with pytest.raises(DeniedResourceType, match=r"Serverless/Within/Robot.*\(AWS::IAM::User\)"):
        inspect_assembly(serverless, TARGET, rules=PREVIEW_RULES)
    others = tuple(stack for stack in apps_own.stacks if stack.id != "Serverless")
    inspect_assembly(replace(apps_own, stacks=others), TARGET, rules=PREVIEW_RULES)
