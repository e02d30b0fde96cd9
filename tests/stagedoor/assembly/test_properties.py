"""What must hold for whatever an app's program writes."""

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stagedoor.assembly.documents import path_inside
from stagedoor.assembly.exports import EXPORT_NAME_LIMIT, export_name
from stagedoor.assembly.expressions import evaluate, scope_of
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.physical_names import names_stage
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.assembly.writer import file_stem
from stagedoor.errors import UserError
from tests.stagedoor.assembly.conftest import TARGET, identity

PR_1 = identity("pr-1")

KEY_NAMES = """
    Resources Outputs Parameters Type Properties Export Name Default Fn::Join Fn::Sub Fn::If Ref Fn::GetAtt Metadata
    Fn::ImportValue Fn::GetStackOutput StackName aws:cdk:path TemplateURL BucketName ReaderProps prefix DeletionPolicy
    version artifacts properties templateFile dependencies environment files dockerImages source path destinations
    bucketName objectKey missing metadata additionalMetadataFile directoryName file LoadBalancerAttributes
"""
WORD_NAMES = """
    / .. A 55.0.0 AWS::StackName AWS::NoValue ${A} ${A.B}-${!x} AWS::S3::Bucket AWS::CloudFormation::Stack Retain
    Custom::CrossRegionExportReader AWS::ECR::Repository AWS::ElasticLoadBalancingV2::LoadBalancer cdk:cloud-assembly
    aws:cloudformation:stack cdk:asset-manifest Assets.json Only.template.json AWS::SSM::Parameter::Value<String>
"""
KEYS = st.sampled_from(KEY_NAMES.split())
WORDS = st.sampled_from(["", "\ud800", *WORD_NAMES.split()])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS | st.text()
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=3), JSON, max_size=5)
RESOURCES = st.dictionaries(
    st.sampled_from("ABC"), st.fixed_dictionaries({"Type": WORDS, "Properties": JSON, "Metadata": JSON}) | JSON
)
TEMPLATES = OBJECTS | st.fixed_dictionaries({"Resources": RESOURCES, "Outputs": OBJECTS, "Parameters": OBJECTS})


def pass_through(manifest: Any, assets: Any, template: Any) -> None:
    """Read, inspect and rewrite; only a `UserError` may come of it."""
    with TemporaryDirectory() as temporary:
        directory = Path(temporary) / "cdk.out"
        directory.mkdir()
        for name, document in (("manifest", manifest), ("Assets", assets), ("Only.template", template)):
            (directory / f"{name}.json").write_text(json.dumps(document))
        try:
            assembly = read_assembly(directory)
            inspect_assembly(assembly, TARGET)
            rewritten = rewrite_assembly(assembly, PR_1, TARGET, Path(temporary) / "out")
        except UserError:
            return
        assert [stack.name for stack in read_assembly(Path(temporary) / "out").stacks] == [
            stack.name for stack in rewritten.assembly.stacks
        ]


def manifest_of(properties: Any, assets: Any) -> dict[str, Any]:
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://unknown-account/unknown-region",
        "properties": {"templateFile": "Only.template.json", **properties},
        "dependencies": ["Assets"],
    }
    artifacts = {"Only": stack, "Assets": {"type": "cdk:asset-manifest", "properties": {"file": "Assets.json"}}}
    return {"version": "55.0.0", "artifacts": {**artifacts, **assets}}


NO_ASSETS: dict[str, Any] = {"version": "55.0.0", "files": {}}
NESTED_ASSET = {
    "version": "55.0.0",
    "files": {
        "a": {
            "source": {"path": "Only.template.json", "packaging": "file"},
            "destinations": {"d": {"bucketName": "assets", "objectKey": "A"}},
        }
    },
}


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_a_manifest_of_any_shape(manifest: Any) -> None:
    pass_through(manifest, NO_ASSETS, {})


@settings(max_examples=60, deadline=None)
@given(OBJECTS, st.dictionaries(WORDS, OBJECTS, max_size=2), OBJECTS)
def test_artifacts_and_assets_of_any_shape(properties: Any, artifacts: Any, assets: Any) -> None:
    pass_through(manifest_of(properties, artifacts), {"version": "55.0.0", **assets}, {})


@settings(max_examples=100, deadline=None)
@given(TEMPLATES, st.sampled_from([NO_ASSETS, NESTED_ASSET]))
def test_a_template_of_any_shape(template: Any, assets: Any) -> None:
    pass_through(manifest_of({}, {}), assets, template)


@given(JSON, OBJECTS)
def test_any_expression_has_a_value(expression: Any, template: Any) -> None:
    scope = scope_of(template, TARGET, "Only", {}, frozenset())
    assert evaluate(expression, scope) == evaluate(expression, scope)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "in", "out", "loop", "file", "", "/", "a\0"])).map("/".join) | st.text())
def test_no_path_escapes(relative: str) -> None:
    with TemporaryDirectory() as temporary:
        root = Path(temporary).resolve() / "root"
        (root / "in").mkdir(parents=True)
        (root / "in" / "file").touch()
        (root / "in" / "loop").symlink_to("../in")
        (root / "out").symlink_to("..")
        try:
            path = path_inside(root, root / "in", relative)
        except UserError:
            return
        assert path.is_relative_to(root)
        assert not path.is_symlink()


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)


@given(NAMES, NAMES)
def test_other_exports_have_other_names(one: str, other: str) -> None:
    first, second = export_name(one, PR_1.prefix), export_name(other, PR_1.prefix)
    assert (first == second) == (one == other)
    assert len(first) <= EXPORT_NAME_LIMIT


@given(NAMES, NAMES)
def test_other_ids_have_other_files(one: str, other: str) -> None:
    assert (file_stem(one) == file_stem(other)) == (one == other)
    assert "/" not in file_stem(one)


@given(st.integers(1, 999), st.integers(1, 999), st.sampled_from(["{}", "notes-{}", "a.{}.b", "x_{}/y", "Notes-{}-Z"]))
def test_a_name_holds_its_own_stage_and_no_other(number: int, other: int, pattern: str) -> None:
    text = pattern.format(f"pr-{number}")
    assert names_stage(text, identity(f"pr-{other}")) == (number == other)


def test_rewriting_leaves_its_source_as_it_was(cdk_out: Path, tmp_path: Path) -> None:
    shutil.copytree(cdk_out, tmp_path / "cdk.out", symlinks=True)
    before = {path: path.read_bytes() for path in (tmp_path / "cdk.out").rglob("*") if path.is_file()}
    rewrite_assembly(read_assembly(tmp_path / "cdk.out"), identity("prod", disposable=False), TARGET, tmp_path / "out")
    assert before == {path: path.read_bytes() for path in (tmp_path / "cdk.out").rglob("*") if path.is_file()}
