"""What validation finds, and what it stops. The engine is a small one of the test's own but in the last test."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.assembly.reader import read_assembly
from stagedoor.errors import Cancelled
from stagedoor.events import Event, EventKind, silent
from stagedoor.synth.executor import Limits, LocalProcessExecutor
from stagedoor.synth.program import SynthRequest
from stagedoor.synth.synthesis import synthesize
from stagedoor.synth.validation import PLUGIN, TemplateInvalid, Validation
from stagedoor.target import Trust
from tests.stagedoor.assembly.conftest import ROOT

ENGINE = """
const fs = require("fs");
exports.CloudFormationValidatePlugin = class {
  validate({ stackTemplates: [{ templatePath, region }] }) {
    const { Resources } = JSON.parse(fs.readFileSync(templatePath));
    const violations = Object.entries(Resources).filter(([, { Says }]) => Says).map(([id, { Says }]) => ({
      ruleName: "E1", severity: Says, description: `it says so in ${region}`, fix: "Say nothing.",
      violatingResources: [{ resourceLogicalId: id }],
    }));
    BEHAVE
    return { violations };
  }
};
"""


@pytest.fixture
def request_(tmp_path: Path) -> SynthRequest:
    app = tmp_path / "app"
    app.mkdir()
    (app / "cdk.json").write_text(json.dumps({"app": 'cp -r assembly/. "$CDK_OUTDIR"'}))
    return SynthRequest(
        app, tmp_path / "out", "pr-7", "111111111111", "eu-west-1", tmp_path / "cache", Trust.PREVIEW, root=app
    )


@pytest.fixture
def validation(tmp_path: Path) -> Iterator[Validation]:
    with make_validation(tmp_path) as validation:
        yield validation


def make_validation(tmp_path: Path, check=lambda: None) -> Validation:
    return Validation(
        lambda go_on: LocalProcessExecutor(Limits(seconds=60), check=go_on), tmp_path / "cache" / "preview", check
    )


def give_engine(app: Path, behave: str = "") -> None:
    plugin = app / "node_modules" / "aws-cdk-lib" / PLUGIN
    plugin.parent.mkdir(parents=True, exist_ok=True)
    plugin.write_text(ENGINE.replace("BEHAVE", behave))


def give_assembly(app: Path, says: dict[str, str], metadata: dict[str, object] | None = None) -> None:
    """An assembly with a resource for each id, that gives the engine something to say, or not."""
    (app / "assembly").mkdir(exist_ok=True)
    resources = {
        name: {"Type": "AWS::SNS::Topic", "Metadata": {"aws:cdk:path": f"Only/{name}/Resource"}, "Says": severity}
        for name, severity in says.items()
    }
    stack = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://111111111111/eu-west-1",
        "properties": {"templateFile": "Only.json"},
        "metadata": metadata or {},
    }
    (app / "assembly" / "Only.json").write_text(json.dumps({"Resources": resources}))
    (app / "assembly" / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Only": stack}}))


def check(request: SynthRequest, validation: Validation) -> list[Event]:
    """Synthesise, validate, and return the warnings."""
    events: list[Event] = []
    directory = synthesize(request, LocalProcessExecutor(), silent, validation)
    validation.begin(read_assembly(directory))
    validation.check(events.append)
    assert {event.kind for event in events} <= {EventKind.WARNING}
    return events


def test_errors_stop_the_deploy_and_name_the_construct(request_, validation):
    give_engine(request_.app_dir)
    give_assembly(request_.app_dir, {"Good": "", "Bad": "error", "Worse": "error"})
    with pytest.raises(TemplateInvalid) as invalid:
        check(request_, validation)
    assert invalid.value.what == (
        "CloudFormation would refuse Only/Bad/Resource: it says so in eu-west-1 (E1). There are 1 more. "
        "Nothing was changed."
    )
    assert invalid.value.remedy.startswith("Say nothing. If you know better, acknowledge CloudFormation-Validate::E1")
    assert "Only/Worse/Resource" in invalid.value.detail


def test_warnings_are_told(request_, validation):
    give_engine(request_.app_dir)
    give_assembly(request_.app_dir, {"Odd": "warning"})
    (warning,) = check(request_, validation)
    assert (warning.subject, warning.message) == ("Only/Odd/Resource", "it says so in eu-west-1 (E1)")


def test_what_the_app_acknowledges_is_not_told_again(request_, validation):
    give_engine(request_.app_dir)
    known = [{"type": "aws:cdk:acknowledged-rules", "data": {"CloudFormation-Validate::E1": "we know"}}]
    give_assembly(request_.app_dir, {"Bad": "error"}, {"/Only/Bad": known})
    assert check(request_, validation) == []


def test_the_apps_flag_makes_warnings_of_errors(request_, validation):
    give_engine(request_.app_dir)
    give_assembly(request_.app_dir, {"Bad": "error"})
    flag = {"@aws-cdk/core:validateAgainstDefaultRules": False}
    (request_.app_dir / "cdk.context.json").write_text(json.dumps(flag))
    assert [event.subject for event in check(request_, validation)] == ["Only/Bad/Resource"]


def test_equal_templates_are_not_validated_again(request_, validation, tmp_path):
    give_engine(request_.app_dir)
    give_assembly(request_.app_dir, {"Odd": "warning"})
    first = check(request_, validation)
    give_engine(request_.app_dir, "throw new Error('it was asked again');")
    request_.output.rename(tmp_path / "first")
    with make_validation(tmp_path) as again:
        second = check(request_, again)
    assert [event.message for event in second] == [event.message for event in first]


def test_templates_that_differ_in_the_hash_of_an_asset_alone_are_not_validated_again(request_, validation, tmp_path):
    give_engine(request_.app_dir)
    give_function(request_.app_dir, "a" * 64)
    first = check(request_, validation)
    give_engine(request_.app_dir, "throw new Error('it was asked again');")
    give_function(request_.app_dir, "b" * 64)
    request_.output.rename(tmp_path / "first")
    with make_validation(tmp_path) as again:
        second = check(request_, again)
    assert len(first) == 1
    assert [event.message for event in second] == [event.message for event in first]


def test_the_engine_is_not_got_ready_where_only_what_is_in_assets_has_changed(request_, tmp_path):
    app = request_.app_dir
    started: list[LocalProcessExecutor] = []
    give_engine(app)
    give_assembly(app, {})
    (app / "code").mkdir()
    stage = 'cp -r assembly/. "$CDK_OUTDIR"; cp -r code "$CDK_OUTDIR/asset.code"'
    (app / "cdk.json").write_text(json.dumps({"app": stage}))

    def executor(check: Callable[[], None]) -> LocalProcessExecutor:
        started.append(LocalProcessExecutor(check=check))
        return started[-1]

    def synthesized(name: str, file: str, text: str) -> int:
        started.clear()
        (app / file).write_text(text)
        with Validation(executor, tmp_path) as one:
            synthesize(replace(request_, output=tmp_path / name), LocalProcessExecutor(), silent, one)
        return len(started)

    assert synthesized("first", "code/handler.py", "1") == 1
    assert synthesized("second", "code/handler.py", "2") == 0
    assert synthesized("more", "code/more.py", "3") == 1
    assert synthesized("other", "stack.py", "4") == 1
    assert synthesized("last", "code/more.py", "5") == 0


def give_function(app: Path, code: str) -> None:
    """An assembly with one function, whose code is an asset of this hash."""
    give_assembly(app, {})
    assembly = app / "assembly"
    properties = {"Code": {"S3Bucket": "assets", "S3Key": f"{code}.zip"}}
    function = {"Type": "AWS::Lambda::Function", "Says": "warning", "Properties": properties}
    (assembly / "Only.json").write_text(json.dumps({"Resources": {"Function": function}}))
    (assembly / "code.zip").write_text(code)
    file = {
        "source": {"path": "code.zip", "packaging": "file"},
        "destinations": {"here": {"bucketName": "assets", "objectKey": f"{code}.zip"}},
    }
    (assembly / "Only.assets.json").write_text(
        json.dumps({"version": "48.0.0", "files": {code: file}, "dockerImages": {}})
    )
    manifest = json.loads((assembly / "manifest.json").read_text())
    manifest["artifacts"]["Only"]["dependencies"] = ["Only.assets"]
    manifest["artifacts"]["Only.assets"] = {"type": "cdk:asset-manifest", "properties": {"file": "Only.assets.json"}}
    (assembly / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        ("throw new Error('out of luck');", "out of luck"),
        ("process.exit(0);", "it ended too early"),
        ("require('fs').readFileSync('SECRET')", "EACCES"),
        ("require('fs').writeFileSync('here', 'mine')", "EACCES"),
    ],
    ids=["fails", "ends", "reads", "writes"],
)
def test_an_engine_that_cannot_do_its_work_stops_nothing_and_reaches_nothing(
    request_, validation, tmp_path, behave, words
):
    (tmp_path / "secret").touch()
    give_engine(request_.app_dir, behave.replace("SECRET", str(tmp_path / "secret")))
    give_assembly(request_.app_dir, {"Bad": "error"})
    (warning,) = check(request_, validation)
    assert warning.message.startswith("The templates could not be validated")
    assert words in warning.message


def test_an_app_whose_library_has_no_engine_is_deployed_as_it_is(request_, validation):
    give_assembly(request_.app_dir, {"Bad": "error"})
    assert check(request_, validation) == []


def test_a_deploy_that_is_cancelled_does_not_wait_for_it(request_, tmp_path):
    give_engine(request_.app_dir, "for (;;);")
    give_assembly(request_.app_dir, {})

    def cancel() -> None:
        raise Cancelled

    with make_validation(tmp_path, cancel) as validation, pytest.raises(Cancelled):
        check(request_, validation)


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("cdk")
def test_the_engine_of_a_real_library(request_, tmp_path):
    """It finds the same from its own beginning and from the memory that a ready one left. The environment is that of
    `examples/notes`, as the tests of synth install it.
    """
    notes = ROOT / "examples" / "notes"
    for name in ("pyproject.toml", "uv.lock"):
        (request_.app_dir / name).write_text((notes / name).read_text())
    (request_.app_dir / "app.py").write_text(
        "import aws_cdk as cdk\n"
        "from aws_cdk import aws_lambda as lambda_\n"
        "app = cdk.App()\n"
        "lambda_.CfnFunction(cdk.Stack(app, 'Only'), 'Named', role='arn:aws:iam::111111111111:role/r',\n"
        "    code={'zipFile': 'x'}, handler='index.handle', runtime='python3.6')\n"
        "app.synth()\n"
    )
    given = {"command": "python app.py", "cache_dir": ROOT / ".stagedoor" / "cache", "remember": False}
    request = SynthRequest(**{name: getattr(request_, name) for name in request_.__slots__} | given)
    cache = ROOT / ".stagedoor" / "cache" / "preview" / "environments"
    left: list[set[int]] = []
    for number in range(2):
        passing = replace(request, output=tmp_path / f"out-{number}")
        with (
            make_validation(tmp_path / str(number)) as validation,
            pytest.raises(TemplateInvalid, match=r"Only/Named: .*python3\.6.*E2533"),
        ):
            check(passing, validation)
        left.append({memory.stat().st_ino for memory in cache.glob("*/engine.memory")})
    assert left[0]
    assert left[0] == left[1], "the second had to get ready by itself"
