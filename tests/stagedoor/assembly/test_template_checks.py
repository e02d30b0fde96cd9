"""Templates over CloudFormation's limits, and what a target's rules do not let in."""

from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.inspection import InspectionLimits, inspect_assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rules import PREVIEW_RULES, AssemblyRules
from stagedoor.assembly.template_checks import DeniedResourceType, DeniedTransform, TemplateOverLimits, UnseenTemplate
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset

QUEUE = {"Type": "AWS::SQS::Queue"}
USER = {"Type": "AWS::IAM::User"}
BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
URL = f"https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/{BUCKET}/abc.json"


def many(count: int, value: Any = QUEUE) -> dict[str, Any]:
    return {f"Name{number}": value for number in range(count)}


OVER: dict[str, tuple[dict[str, Any], str]] = {
    "resources": ({"Resources": many(501)}, "501 resources"),
    "outputs": ({"Outputs": many(201, {"Value": "x"})}, "201 outputs"),
    "parameters": ({"Parameters": many(201, {"Type": "String"})}, "201 parameters"),
    "mappings": ({"Mappings": many(201, {})}, "201 mappings"),
    "keys": ({"Mappings": {"Map": many(201, {})}}, "201 keys in one mapping"),
    "name": ({"Resources": {"x" * 256: QUEUE}}, "256 characters in one name"),
    "description": ({"Description": "é" * 513}, "1026 bytes of description"),
    "bytes": ({"Metadata": {"x": "x" * 1_000_000}}, "1000023 bytes"),
}
WITHIN = [{"Resources": many(500)}, {"Outputs": many(200, {"Value": "x"})}, {"Description": "é" * 512}]


@pytest.mark.parametrize("what", OVER)
def test_a_template_over_a_limit(write: Write, what: str) -> None:
    template, words = OVER[what]
    with pytest.raises(TemplateOverLimits, match=f"'Only' has {words}"):
        inspect_assembly(read_assembly(write({"Only": template})), TARGET)


@pytest.mark.parametrize("template", WITHIN, ids=["resources", "outputs", "description"])
def test_a_template_at_a_limit(write: Write, template: dict[str, Any]) -> None:
    inspect_assembly(read_assembly(write({"Only": template})), TARGET)


def nesting(write: Write, inner: str, url: Any = None) -> Path:
    """An assembly whose stack nests a template that is an asset under a name of no template."""
    stack = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url or {"Fn::Sub": URL}}}
    asset = file_asset("inner.txt", key="abc.json", packaging="file", bucket=BUCKET)
    directory = write({"Only": {"Resources": {"Inner": stack}}}, files={"abc": asset})
    (directory / "inner.txt").write_text(inner)
    return directory


def test_a_nested_template_over_a_limit(write: Write) -> None:
    assembly = read_assembly(nesting(write, '{"Description": "%s"}' % ("x" * 1_000)))
    with pytest.raises(TemplateOverLimits, match="1019 bytes; CloudFormation takes 1000"):
        inspect_assembly(assembly, TARGET, InspectionLimits(template_bytes=1_000))


DENIED: dict[str, dict[str, Any]] = {
    "plainly": {"Resources": {"Robot": USER}},
    "by a pattern": {"Resources": {"Robot": {"Type": "AWS::Organizations::Account"}}},
    "in a module": {"Resources": {"Robot": {"Type": "Acme::Any::Thing::MODULE"}}},
    "in a loop": {"Resources": {"Fn::ForEach::Robots": ["Name", ["a", "b"], {"Robot${Name}": USER}]}},
    "in a loop in a loop": {
        "Resources": {"Fn::ForEach::A": ["A", ["a"], {"Fn::ForEach::B": ["B", ["b"], {"${A}${B}": USER}]}]}
    },
    "by a type that is put together": {
        "Resources": {"Fn::ForEach::Robots": ["Kind", ["User"], {"Robot": {"Type": "AWS::IAM::${Kind}"}}]}
    },
}


@pytest.mark.parametrize("how", DENIED)
def test_a_denied_type(write: Write, how: str) -> None:
    assembly = read_assembly(write({"Only": DENIED[how]}))
    inspect_assembly(assembly, TARGET)
    with pytest.raises(DeniedResourceType, match="'Only' holds what may not be"):
        inspect_assembly(assembly, TARGET, rules=PREVIEW_RULES)


def test_a_denied_type_in_a_nested_template(write: Write) -> None:
    assembly = read_assembly(nesting(write, '{"Resources": {"Robot": {"Type": "AWS::IAM::User"}}}'))
    inspect_assembly(assembly, TARGET)
    with pytest.raises(DeniedResourceType, match="Robot"):
        inspect_assembly(assembly, TARGET, rules=PREVIEW_RULES)


UNSEEN: dict[str, Any] = {
    "elsewhere": "https://s3.us-east-1.amazonaws.com/somebodys-bucket/other.json",
    "elsewhere, under the same key": "https://s3.us-east-1.amazonaws.com/somebodys-bucket/abc.json",
    "a bucket that is called like ours": f"https://mine.s3.amazonaws.com/{BUCKET}/abc.json",
    "told by a parameter": {"Ref": "Url"},
    "one of two": {"Fn::If": ["C", {"Fn::Sub": URL}, "https://s3.us-east-1.amazonaws.com/x/abc.json"]},
}


@pytest.mark.parametrize("where", UNSEEN)
def test_a_nested_template_that_cannot_be_seen(write: Write, where: str) -> None:
    with pytest.raises(UnseenTemplate, match="'Inner'"):
        inspect_assembly(read_assembly(nesting(write, "{}", UNSEEN[where])), TARGET, rules=PREVIEW_RULES)


def test_a_nested_template_that_can_be_seen(write: Write) -> None:
    inspect_assembly(read_assembly(nesting(write, "{}")), TARGET, rules=PREVIEW_RULES)


TRANSFORMS: dict[str, Any] = {
    "of the template": {"Transform": "Mine"},
    "among others": {"Transform": ["AWS::LanguageExtensions", {"Name": "Mine", "Parameters": {}}]},
    "of a part": {"Resources": {"Queue": {**QUEUE, "Properties": {"Fn::Transform": {"Name": "Mine"}}}}},
    "without a name": {"Transform": {"Name": {"Ref": "Which"}}},
}


@pytest.mark.parametrize("where", TRANSFORMS)
def test_a_macro_that_is_not_allowed(write: Write, where: str) -> None:
    assembly = read_assembly(write({"Only": TRANSFORMS[where]}))
    inspect_assembly(assembly, TARGET)
    with pytest.raises(DeniedTransform, match=r"'Mine'|'\?'"):
        inspect_assembly(assembly, TARGET, rules=PREVIEW_RULES)
    if where != "without a name":
        inspect_assembly(assembly, TARGET, rules=AssemblyRules(allowed_transforms=("Mine", "AWS::LanguageExtensions")))


def test_macros_of_aws_that_show_what_they_make(write: Write) -> None:
    template = {"Transform": ["AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"], "Resources": {"Queue": QUEUE}}
    inspect_assembly(read_assembly(write({"Only": template})), TARGET, rules=PREVIEW_RULES)
