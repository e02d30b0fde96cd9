"""One test for each class of reference in the table of docs/assembly.md, on what a real CDK app wrote."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.findings import FixedPhysicalName
from stagedoor.assembly.model import Assembly, FileAsset, Finding
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import DuplicateStackName, rewrite_assembly
from stagedoor.naming import StackNameTooLong, StageIdentity
from tests.stagedoor.assembly.closure import all_templates, claimed, dangling, functions, text_of
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, identity, only, template_of, without

SHARED = frozenset({"shared-vpc"})
PR_1 = identity("pr-1")


@pytest.fixture(scope="module")
def preview(app: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The app as the preview pr-1 has it."""
    output = tmp_path_factory.mktemp("rewritten") / "pr-1"
    return rewrite_assembly(without(app, "Fixed"), PR_1, TARGET, output).assembly


@pytest.fixture(scope="module")
def findings(app: Assembly, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finding, ...]:
    output = tmp_path_factory.mktemp("findings") / "pr-1"
    return rewrite_assembly(without(app, "Fixed"), PR_1, TARGET, output).findings


def nested_template(assembly: Assembly, stack_id: str, holds: str) -> dict[str, Any]:
    templates = [template for name, template in all_templates(assembly) if name.startswith(f"{stack_id}:")]
    (found,) = [template for template in templates[1:] if holds in json.dumps(template)]
    return found


def resource(template: dict[str, Any], type_name: str) -> dict[str, Any]:
    (found,) = [item for item in template["Resources"].values() if item["Type"] == type_name]
    assert isinstance(found, dict)
    return found


def files_of(assembly: Assembly, stack_id: str) -> list[FileAsset]:
    return [asset for asset in assembly.stack(stack_id).assets if isinstance(asset, FileAsset)]


def test_every_role_gets_the_targets_boundary(app: Assembly, tmp_path: Path) -> None:
    """Without it an execution role that may make bounded roles alone refuses the stage."""
    bounded = replace(TARGET, permissions_boundary=f"arn:aws:iam::{TARGET.account}:policy/boundary")
    written = rewrite_assembly(without(app, "Fixed"), PR_1, bounded, tmp_path / "pr-1").assembly
    resources = [item for _, template in all_templates(written) for item in template.get("Resources", {}).values()]
    roles = [item["Properties"]["PermissionsBoundary"] for item in resources if item["Type"] == "AWS::IAM::Role"]
    assert roles
    assert set(roles) == {bounded.permissions_boundary}


def test_every_reference_leads_somewhere(app: Assembly, preview: Assembly) -> None:
    assert dangling(app, SHARED) == []
    assert dangling(preview, SHARED) == []


def test_two_stages_claim_nothing_in_common(app: Assembly, preview: Assembly, tmp_path: Path) -> None:
    other = rewrite_assembly(without(app, "Fixed"), identity("pr-2"), TARGET, tmp_path / "pr-2").assembly
    assert claimed(preview) & claimed(other) == set()
    assert len(claimed(preview)) == len(claimed(other)) > 10


def test_what_is_written_is_an_assembly_by_itself(preview: Assembly) -> None:
    again = read_assembly(preview.directory)
    assert [(stack.id, stack.name, stack.dependencies, stack.tags, stack.parameters) for stack in again.stacks] == [
        (stack.id, stack.name, stack.dependencies, stack.tags, stack.parameters) for stack in preview.stacks
    ]
    assert {asset.source for stack in again.stacks for asset in stack.assets} == {
        asset.source for stack in preview.stacks for asset in stack.assets
    }
    assert again.stack("Data").construct_paths == preview.stack("Data").construct_paths


def test_the_same_assembly_is_written_again(app: Assembly, preview: Assembly, tmp_path: Path) -> None:
    rewrite_assembly(without(app, "Fixed"), PR_1, TARGET, tmp_path / "again")
    first = {path.relative_to(preview.directory): path for path in preview.directory.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert first.keys() == again.keys()
    assert all(first[name].read_bytes() == again[name].read_bytes() for name in first)


def test_stacks_are_named_after_the_stage(preview: Assembly) -> None:
    assert preview.stack("Data").name == f"{PR_1.prefix}-Data"
    assert preview.stack("assembly-Blue/BlueInside90A95C9E").name == f"{PR_1.prefix}-Blue-Inside"
    assert preview.stack("Api").own_name == "Api"
    assert preview.stack("Api").dependencies == ("Data",)


def test_tags_are_the_apps_and_ours_and_ours_win(
    app: Assembly, preview: Assembly, write: Write, tmp_path: Path
) -> None:
    assert preview.stack("Api").tags == {"team": "notes", **PR_1.tags()}
    liar = read_assembly(write(properties={"tags": {"stagedoor:stage": "prod"}}))
    assert rewrite_assembly(liar, PR_1, TARGET, tmp_path / "out").assembly.stacks[0].tags == PR_1.tags()


def test_a_name_that_is_too_long_is_refused(app: Assembly, tmp_path: Path) -> None:
    long = StageIdentity("notes", "pr-1", "p" * 125, "42", "service-1")
    with pytest.raises(StackNameTooLong):
        rewrite_assembly(only(app, "Data"), long, TARGET, tmp_path / "out")


def test_two_stacks_of_one_name_are_refused(write: Write, tmp_path: Path) -> None:
    twice = read_assembly(write({"A": {"Resources": {}}, "B": {"Resources": {}}}, properties={"stackName": "same"}))
    with pytest.raises(DuplicateStackName, match="same"):
        rewrite_assembly(twice, PR_1, TARGET, tmp_path / "out")


def test_exports_and_imports_between_stacks(preview: Assembly) -> None:
    outputs = template_of(preview, "Data")["Outputs"]
    exports = [output["Export"]["Name"] for output in outputs.values() if "Export" in output]
    imports = [value for key, value in functions(template_of(preview, "Api")) if key == "Fn::ImportValue"]
    automatic = {name for name in imports if "ExportsOutput" in name}
    assert automatic
    assert automatic <= set(exports)
    assert all(name.startswith(f"{PR_1.prefix}-Data:") for name in automatic)


def test_an_export_with_a_literal_name(preview: Assembly) -> None:
    name = f"{PR_1.prefix}-files-bucket"
    assert template_of(preview, "Data")["Outputs"]["Literal"]["Export"]["Name"] == name
    deep = nested_template(preview, "Api", "DeepLog")
    assert name in [value for key, value in functions(deep) if key == "Fn::ImportValue"]


def test_an_export_whose_name_is_built_by_functions(preview: Assembly) -> None:
    name = f"{PR_1.prefix}-Data-files"
    assert template_of(preview, "Data")["Outputs"]["Built"]["Export"]["Name"] == name
    assert template_of(preview, "Api")["Outputs"]["ImportedBySub"]["Value"] == {"Fn::ImportValue": name}


def test_another_apps_export_keeps_its_name(preview: Assembly) -> None:
    assert template_of(preview, "Api")["Outputs"]["ImportedFromOthers"]["Value"] == {"Fn::ImportValue": "shared-vpc"}


def test_an_output_read_by_the_stacks_name(preview: Assembly) -> None:
    value = template_of(preview, "Api")["Outputs"]["FromOutput"]["Value"]
    assert value["Fn::GetStackOutput"]["StackName"] == f"{PR_1.prefix}-Data"


def test_an_export_whose_name_comes_from_a_parameter(write: Write, tmp_path: Path) -> None:
    name = {"Fn::Sub": ["${Env}-${AWS::StackName}-${x}", {"x": {"Fn::Join": ["_", ["a", {"Ref": "AWS::Region"}]]}}]}
    exporting = {
        "Parameters": {"Env": {"Type": "String", "Default": "dev"}},
        "Outputs": {"O": {"Value": "v", "Export": {"Name": name}}},
    }
    importing = {"Outputs": {"I": {"Value": {"Fn::ImportValue": "dev-E-a_us-east-1"}}}}
    assembly = read_assembly(write({"E": exporting, "I": importing}))
    out = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").assembly
    renamed = f"{PR_1.prefix}-dev-E-a_us-east-1"
    assert template_of(out, "E")["Outputs"]["O"]["Export"]["Name"] == renamed
    assert template_of(out, "I")["Outputs"]["I"]["Value"] == {"Fn::ImportValue": renamed}


def test_an_export_whose_name_only_the_account_knows(write: Write, tmp_path: Path) -> None:
    name = {"Fn::Sub": "${Looked}-vpc"}
    looked = {"Looked": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/team/name"}}
    exporting = {"Parameters": looked, "Outputs": {"O": {"Value": "v", "Export": {"Name": name}}}}
    importing = {"Parameters": looked, "Outputs": {"I": {"Value": {"Fn::ImportValue": name}}}}
    others = {"Outputs": {"I": {"Value": {"Fn::ImportValue": {"Fn::Sub": "${Looked}-zone"}}}}}
    assembly = read_assembly(write({"E": exporting, "I": importing, "Others": {**others, "Parameters": looked}}))
    out = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").assembly
    own = {"Fn::Join": ["-", [PR_1.prefix, name]]}
    assert template_of(out, "E")["Outputs"]["O"]["Export"]["Name"] == own
    assert template_of(out, "I")["Outputs"]["I"]["Value"] == {"Fn::ImportValue": own}
    assert template_of(out, "Others")["Outputs"] == others["Outputs"]


def test_cross_region_references(preview: Assembly) -> None:
    far = f"{PR_1.prefix}-Far"
    reader = resource(template_of(preview, "Far"), "Custom::CrossRegionExportReader")["Properties"]["ReaderProps"]
    writer = resource(template_of(preview, "Near"), "Custom::CrossRegionExportWriter")["Properties"]["WriterProps"]
    assert reader["prefix"] == far
    assert list(reader["imports"]) == list(writer["exports"])
    assert all(name.startswith(f"/cdk/exports/{far}/") for name in reader["imports"])
    assert f"parameter/cdk/exports/{far}/*" in json.dumps(template_of(preview, "Far"))
    assert "/cdk/exports/Far/" not in json.dumps(template_of(preview, "Far"))


def test_a_nested_template_takes_its_parents_url_along(app: Assembly, preview: Assembly) -> None:
    before = {asset.claimed_hash for asset in app.stack("Api").assets}
    assets = {asset.claimed_hash: asset for asset in files_of(preview, "Api")}
    changed = {claimed: asset for claimed, asset in assets.items() if claimed not in before}
    assert len(changed) == 2
    for asset in changed.values():
        assert asset.key == f"{asset.claimed_hash}.json"
        assert asset.source.is_relative_to(preview.directory)
    url = text_of(resource(template_of(preview, "Api"), "AWS::CloudFormation::Stack")["Properties"]["TemplateURL"])
    assert url.split("/")[-2:] == ["cdk-previews-assets-123456789012-us-east-1", url.split("/")[-1]]
    assert url.split("/")[-1].removesuffix(".json") in changed


def test_bucket_and_bootstrap_parameter_are_the_targets(preview: Assembly) -> None:
    assert "hnb659fds" not in "".join(path.read_text() for path in preview.directory.glob("*.json"))
    parameter = template_of(preview, "Data")["Parameters"]["BootstrapVersion"]
    assert parameter["Default"] == "/cdk-bootstrap/previews/version"
    handler = next(item for key, item in functions(template_of(preview, "Api")) if key == "S3Bucket")
    assert handler == "cdk-previews-assets-123456789012-us-east-1"
    buckets = {
        asset.bucket
        for stack in preview.stacks
        if stack.id not in ("Far", "Visitor")
        for asset in files_of(preview, stack.id)
    }
    assert buckets == {"cdk-previews-assets-123456789012-us-east-1"}


def test_the_repository_of_images_is_the_targets(write: Write, tmp_path: Path) -> None:
    place = "cdk-hnb659fds-container-assets-${AWS::AccountId}-${AWS::Region}"
    uri = {"Fn::Sub": f"${{AWS::AccountId}}.dkr.ecr.${{AWS::Region}}.${{AWS::URLSuffix}}/{place}:abc"}
    function = {"Type": "AWS::Lambda::Function", "Properties": {"Code": {"ImageUri": uri}}}
    image = {"source": {"directory": "image"}, "destinations": {"d": {"repositoryName": place, "imageTag": "abc"}}}
    directory = write({"Only": {"Resources": {"F": function}}}, images={"abc": image})
    (directory / "image").mkdir()
    out = rewrite_assembly(read_assembly(directory), PR_1, TARGET, tmp_path / "out").assembly
    (asset,) = out.stacks[0].assets
    own = "cdk-previews-container-assets-123456789012-us-east-1"
    assert (asset.repository, asset.tag) == (own, "abc")
    written = template_of(out, "Only")["Resources"]["F"]["Properties"]["Code"]["ImageUri"]["Fn::Sub"]
    assert written.endswith(f"/{own}:abc")


def test_roles_in_the_assembly_are_ignored(cdk_out: Path, preview: Assembly) -> None:
    assert "assumeRoleArn" in (cdk_out / "manifest.json").read_text()
    assert "assumeRoleArn" not in "".join(path.read_text() for path in preview.directory.glob("*.json"))


def test_names_that_cdk_made_up_become_the_stages(app: Assembly, preview: Assembly) -> None:
    before = resource(template_of(app, "Api"), "AWS::Events::EventBus")["Properties"]["Name"]
    after = resource(template_of(preview, "Api"), "AWS::Events::EventBus")["Properties"]["Name"]
    assert before != after
    assert before[:-8] == after[:-8]
    assert before not in json.dumps(template_of(preview, "Api"))


def test_a_name_that_cdk_made_up_for_another_region(app: Assembly, preview: Assembly) -> None:
    before, after = (resource(template_of(one, "Generated"), "AWS::S3::Bucket") for one in (app, preview))
    name, own = before["Properties"]["BucketName"], after["Properties"]["BucketName"]
    assert name != own
    assert len(name) == len(own)
    assert own in json.dumps(template_of(preview, "Visitor"))
    assert name not in json.dumps(template_of(preview, "Visitor"))


def test_fixed_names_are_refused_for_a_preview(app: Assembly, tmp_path: Path) -> None:
    with pytest.raises(FixedPhysicalName) as refused:
        rewrite_assembly(only(app, "Fixed"), PR_1, TARGET, tmp_path / "out")
    lines = refused.value.detail.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Fixed/Jobs/Resource",
        "Fixed/News/Resource",
        "Fixed/Within/Named/Resource",
    ]
    assert "QueueName of this AWS::SQS::Queue is 'jobs' in every stage." in lines[0]
    assert "Leave QueueName out, or build it from the stage" in lines[0]
    assert not (tmp_path / "out").exists()


def test_a_name_of_another_stage_is_a_fixed_name(app: Assembly, tmp_path: Path) -> None:
    with pytest.raises(FixedPhysicalName) as refused:
        rewrite_assembly(only(app, "Fixed"), identity("pr-11"), TARGET, tmp_path / "out")
    assert "Fixed/Staged/Resource: TopicName" in refused.value.detail


def test_fixed_names_are_reported_for_a_stage_that_stays(app: Assembly, tmp_path: Path) -> None:
    prod = identity("prod", disposable=False)
    rewritten = rewrite_assembly(only(app, "Fixed"), prod, TARGET, tmp_path / "out")
    names = [finding.construct_path for finding in rewritten.findings if "in every stage" in finding.what]
    assert "Fixed/Jobs/Resource" in names
    assert "Fixed/Own/Resource" not in names


def test_a_previews_data_goes_with_it(app: Assembly, preview: Assembly) -> None:
    assert "Retain" in {item.get("DeletionPolicy") for item in template_of(app, "Data")["Resources"].values()}
    for item in template_of(preview, "Data")["Resources"].values():
        assert (item["DeletionPolicy"], item["UpdateReplacePolicy"]) == ("Delete", "Delete")
    data = template_of(preview, "Data")
    assert resource(data, "AWS::DynamoDB::Table")["Properties"]["DeletionProtectionEnabled"] is False
    assert resource(data, "AWS::ECR::Repository")["Properties"]["EmptyOnDelete"] is True
    assert resource(nested_template(preview, "Api", "Cache"), "AWS::DynamoDB::Table")["DeletionPolicy"] == "Delete"
    assert resource(nested_template(preview, "Api", "DeepLog"), "AWS::Logs::LogGroup")["DeletionPolicy"] == "Delete"
    assert preview.stack("Api").termination_protection is False


PROTECTED = {
    "AWS::EKS::Cluster": ({"DeletionProtection": True}, {"DeletionProtection": False}),
    "AWS::EC2::Instance": ({"DisableApiTermination": True}, {"DisableApiTermination": False}),
    "AWS::Cognito::UserPool": ({"DeletionProtection": "ACTIVE"}, {"DeletionProtection": "INACTIVE"}),
    "AWS::CloudTrail::EventDataStore": (
        {"TerminationProtectionEnabled": True},
        {"TerminationProtectionEnabled": False},
    ),
    "AWS::S3::Bucket": ({}, {}),
}


@pytest.mark.parametrize("type_name", PROTECTED)
def test_nothing_in_a_preview_is_protected_from_deletion(write: Write, tmp_path: Path, type_name: str) -> None:
    before, after = PROTECTED[type_name]
    assembly = read_assembly(write({"Db": {"Resources": {"D": {"Type": type_name, "Properties": before}}}}))
    out = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").assembly
    assert template_of(out, "Db")["Resources"]["D"]["Properties"] == after


def test_a_lasting_stage_keeps_its_data(app: Assembly, tmp_path: Path) -> None:
    prod = identity("prod", disposable=False)
    out = rewrite_assembly(only(app, "Data", "Api"), prod, TARGET, tmp_path / "out").assembly
    assert resource(template_of(out, "Data"), "AWS::S3::Bucket")["DeletionPolicy"] == "Retain"
    assert resource(template_of(out, "Data"), "AWS::DynamoDB::Table")["Properties"]["DeletionProtectionEnabled"] is True
    assert out.stack("Api").termination_protection is True


def test_a_database_leaves_no_snapshot_behind(write: Write, tmp_path: Path) -> None:
    database = {"Type": "AWS::RDS::DBInstance", "Properties": {"DeletionProtection": True}}
    assembly = read_assembly(write({"Db": {"Resources": {"D": database}}}))
    out = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").assembly
    assert template_of(out, "Db")["Resources"]["D"] == {
        "Type": "AWS::RDS::DBInstance",
        "Properties": {"DeletionProtection": False},
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
    }


def test_account_wide_settings_are_never_touched(
    app: Assembly, preview: Assembly, findings: tuple[Finding, ...]
) -> None:
    before, after = (resource(template_of(one, "Api"), "AWS::ApiGateway::Account") for one in (app, preview))
    assert before == after
    roles = [item for item in template_of(preview, "Api")["Resources"].values() if item["Type"] == "AWS::IAM::Role"]
    assert sum(role.get("DeletionPolicy") == "Retain" for role in roles) == 1
    told = [finding.construct_path for finding in findings if "whole account" in finding.what]
    assert told == ["Api/Rest/CloudWatchRole/Resource", "Api/Rest/Account"]


def test_a_stacks_name_as_text_is_reported(findings: tuple[Finding, ...]) -> None:
    (found,) = [finding for finding in findings if "as text" in finding.what]
    assert found.construct_path == "Api/Handler/Resource"
    assert found.what.startswith("Environment.Variables.DATA_STACK holds the stack's name 'Data' as text")
    assert "Aws.STACK_NAME" in found.remedy


def test_a_template_that_nests_itself_is_refused(write: Write, tmp_path: Path) -> None:
    url = {"Fn::Sub": "https://s3.${AWS::URLSuffix}/assets/loop.json"}
    loop = {"Resources": {"Me": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}}}
    directory = write({"Loop": loop}, files={"l": file_asset("loop.json", key="loop.json", packaging="file")})
    (directory / "loop.json").write_text(json.dumps(loop))
    with pytest.raises(Exception, match="nests more than"):
        rewrite_assembly(read_assembly(directory), PR_1, TARGET, tmp_path / "out")


def test_assets_are_copies(write: Write, tmp_path: Path) -> None:
    directory = write(files={"abc": file_asset("asset.abc")})
    (directory / "asset.abc" / "bin").mkdir(parents=True)
    (directory / "asset.abc" / "bin" / "run").write_text("first")
    (directory / "asset.abc" / "link").symlink_to("bin/run")
    out = rewrite_assembly(read_assembly(directory), PR_1, TARGET, tmp_path / "out").assembly
    (directory / "asset.abc" / "bin" / "run").write_text("changed afterwards")
    (asset,) = out.stacks[0].assets
    assert (asset.source / "link").is_symlink()
    assert (asset.source / "link").read_text() == "first"


def test_an_output_that_holds_something_is_left_alone(app: Assembly, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises(FileExistsError):
        rewrite_assembly(only(app, "Data"), PR_1, TARGET, tmp_path)
