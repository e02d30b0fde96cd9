"""Synths of small apps that write their manifest by hand, and of a real one."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from stagedoor.events import Event, EventKind, silent
from stagedoor.synth.executor import Limits, LocalProcessExecutor
from stagedoor.synth.program import NoCommand, SynthRequest, split_context
from stagedoor.synth.running import NoAssembly, SynthFailed
from stagedoor.synth.settings import InvalidCdkJson
from stagedoor.synth.synthesis import synthesize
from stagedoor.synth.tree import UnsafeFile
from stagedoor.target import Trust

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".stagedoor" / "cache"
WRITE = 'echo "{}" > $CDK_OUTDIR/manifest.json'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "repository" / "app"
    folder.mkdir(parents=True)
    return folder


def request(app: Path, **more) -> SynthRequest:
    given = {
        "app_dir": app,
        "root": app.parent,
        "output": app.parent.parent / "assembly",
        "stage": "pr-7",
        "account": "111111111111",
        "region": "eu-west-1",
        "cache_dir": app.parent.parent / "cache",
        "trust": Trust.PREVIEW,
    }
    return SynthRequest(**{**given, **more})


def synth(
    app: Path, in_cdk_json: str | list[str] | None, emit=silent, cdk: dict[str, object] | None = None, **more
) -> Path:
    (app / "cdk.json").write_text(
        json.dumps({**({"app": in_cdk_json} if in_cdk_json else {}), **(cdk or {})}, indent=2)
    )
    return synthesize(request(app, **more), LocalProcessExecutor(Limits(seconds=60)), emit)


def seen(app: Path, command: str = f"env > env.txt; {WRITE}", **more) -> dict[str, str]:
    synth(app, command, **more)
    return dict(line.split("=", 1) for line in (app / "env.txt").read_text().splitlines() if "=" in line)


def test_the_app_gets_what_the_cdk_cli_gives_it_and_its_stage(app):
    env = seen(app)
    assert env["CDK_OUTDIR"] == str(app.parent.parent / "assembly")
    assert (env["CDK_DEFAULT_ACCOUNT"], env["CDK_DEFAULT_REGION"]) == ("111111111111", "eu-west-1")
    assert env["CDK_CLI_ASM_VERSION"] == "55.0.0"
    assert env["STAGEDOOR_STAGE"] == "pr-7"
    assert Path(env["PWD"]) == app


def test_the_context_is_the_apps_own_then_the_clis_then_the_callers(app):
    (app / "cdk.context.json").write_text(json.dumps({"looked-up": "vpc-1", "both": "remembered"}))
    env = seen(app, cdk={"context": {"both": "written", "mine": 1}}, context={"mine": 2})
    context = json.loads(env["CDK_CONTEXT_JSON"])
    assert context["looked-up"] == "vpc-1"
    assert context["both"] == "written"
    assert context["mine"] == 2
    assert context["stagedoor:stage"] == "pr-7"
    assert context["aws:cdk:enable-path-metadata"] is True
    assert context["aws:cdk:version-reporting"] is False


def test_context_too_large_for_the_environment_goes_into_a_file(app):
    command = f"cat $CONTEXT_OVERFLOW_LOCATION_ENV > overflow.json; env > env.txt; {WRITE}"
    env = seen(app, command, context={"small": 1, "large": "x" * 300_000})
    assert json.loads((app / "overflow.json").read_text()) == {"large": "x" * 300_000}
    assert json.loads(env["CDK_CONTEXT_JSON"])["small"] == 1


def test_a_context_is_split_without_loss():
    context = {"a": "x" * 50, "b": "y" * 200, "c": 1}
    assert split_context(context, 100) == ({"a": "x" * 50, "c": 1}, {"b": "y" * 200})


def test_the_command_of_the_caller_goes_before_the_one_of_cdk_json(app):
    assert (synth(app, "exit 1", command=WRITE) / "manifest.json").is_file()


def test_a_command_in_words_is_joined_as_the_cdk_cli_does(app):
    assert (synth(app, ["sh", "-c", f"'{WRITE}'"]) / "manifest.json").is_file()


def test_a_build_runs_before_the_app(app):
    synth(app, f"cat built && {WRITE}", cdk={"build": "touch built"})


def test_a_javascript_file_is_run_by_node(app):
    (app / "app.js").write_text("require('fs').writeFileSync(process.env.CDK_OUTDIR + '/manifest.json', '{}')")
    assert (synth(app, "app.js") / "manifest.json").is_file()


def test_the_log_streams_as_events(app):
    events: list[Event] = []
    synth(app, f"echo hello; {WRITE}", events.append)
    assert [(event.kind, event.subject, event.message) for event in events] == [(EventKind.LOG, "synth", "hello")]


def test_a_failure_carries_the_apps_own_traceback_and_its_place(app):
    (app / "app.py").write_text("import stack\n\nstack.build()\n")
    (app / "stack.py").write_text("import json\n\ndef build():\n    json.loads('nonsense')\n")
    with pytest.raises(SynthFailed) as failed:
        synth(app, "python3 app.py")
    assert "Traceback (most recent call last)" in failed.value.detail
    assert "JSONDecodeError" in failed.value.what
    assert failed.value.location
    assert (failed.value.location.path, failed.value.location.line) == ("app/stack.py", 4)


def test_a_failure_of_node_has_its_place_too(app):
    (app / "app.js").write_text("function build() {\n  throw new Error('no such stage');\n}\nbuild();\n")
    with pytest.raises(SynthFailed) as failed:
        synth(app, "node app.js")
    assert "no such stage" in failed.value.detail
    assert failed.value.location
    assert (failed.value.location.path, failed.value.location.line) == ("app/app.js", 2)


def test_only_the_end_of_a_long_output_is_kept_in_the_error(app):
    with pytest.raises(SynthFailed) as failed:
        synth(app, "seq 1 1000; exit 3")
    assert failed.value.detail.splitlines() == [str(number) for number in range(961, 1001)]


def test_no_assembly(app):
    with pytest.raises(NoAssembly, match="wrote no assembly"):
        synth(app, "true")


def test_no_command(app):
    with pytest.raises(NoCommand) as missing:
        synth(app, None)
    assert missing.value.location
    assert missing.value.location.path == "app/cdk.json"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "app": "python app.py",\n  "context": {,}\n}', 3),
        ('{\n  "app": {"python": "app.py"}\n}', 2),
        ('{\n  "app": "python app.py",\n\n  "context": []\n}', 4),
        ("[]", 1),
    ],
)
def test_a_wrong_cdk_json_is_named_with_its_line(app, text, line):
    (app / "cdk.json").write_text(text)
    with pytest.raises(InvalidCdkJson) as wrong:
        synthesize(request(app), LocalProcessExecutor(), silent)
    assert wrong.value.location
    assert (wrong.value.location.path, wrong.value.location.line) == ("app/cdk.json", line)


@pytest.mark.parametrize(
    "name", ["cdk.json", "cdk.context.json", "requirements.txt", "package-lock.json", "pyproject.toml"]
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_link_out_of_the_repository_or_a_pipe_is_not_read(app, name, kind):
    secret = app.parent.parent / "secret"
    secret.write_text('{"secret": "leaked"}')
    (app / "cdk.json").write_text(json.dumps({"app": "env"}))
    (app / name).unlink(missing_ok=True)
    if kind == "link":
        (app / name).symlink_to(secret)
    else:
        os.mkfifo(app / name)
    with pytest.raises(UnsafeFile, match="not an ordinary file"):
        synthesize(request(app), LocalProcessExecutor(), silent)


def test_the_apps_folder_is_in_the_repository(app):
    (app / "out").symlink_to("/")
    with pytest.raises(UnsafeFile, match="not a folder of the repository"):
        synthesize(request(app / "out", root=app), LocalProcessExecutor(), silent)


def test_a_program_that_npx_does_not_find_fails_at_once(app):
    began = time.monotonic()
    with pytest.raises(SynthFailed, match="npx nothing-of-this-name"):
        synth(app, "npx nothing-of-this-name")
    assert time.monotonic() - began < 20


def test_node_packages_are_linked_into_the_tree(app):
    package = {"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}
    (app / "package.json").write_text(json.dumps(package))
    quiet = ["--package-lock-only", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(["npm", "install", *quiet], cwd=app, check=True)
    program = "require('fs').writeFileSync(process.env.CDK_OUTDIR + '/manifest.json', String(require('ms')('1s')))"
    (app / "app.js").write_text(program)
    assert (synth(app, "node app.js") / "manifest.json").read_text() == "1000"
    assert not (app / "node_modules").is_symlink()
    npm_ci = ["npm", "ci", "--silent", "--no-audit", "--no-fund"]
    # A synth that was killed leaves its link, and its author empties by it what everybody shares.
    (whole,) = {place.resolve() for place in (app.parent.parent / "cache").glob("*/environments/*/node_modules")}
    (app / "node_modules").symlink_to(whole)
    subprocess.run(npm_ci, cwd=app, check=True)
    shutil.rmtree(app / "node_modules")
    again = synth(app, "node app.js", output=app.parent.parent / "again")
    assert (again / "manifest.json").read_text() == "1000"


def test_trust_levels_share_no_cache(app):
    (app / "requirements.txt").write_text("publication==0.0.3\n")
    for trust in Trust:
        synth(app, f"python -c 'import publication; print(publication.__file__)' > where; {WRITE}", trust=trust,
              output=app.parent.parent / trust.value)  # fmt: skip
        assert f"/cache/{trust.value}/" in (app / "where").read_text()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    tree = tmp_path / "notes"
    shutil.copytree(ROOT / "examples" / "notes", tree, ignore=shutil.ignore_patterns(".venv", "cdk.out", "__pycache__"))
    return tree


@pytest.mark.timeout(240)
@pytest.mark.xdist_group("cdk")
def test_a_real_app(notes):
    given = request(notes, root=notes, output=notes.parent / "assembly", cache_dir=CACHE, remember=False)
    assembly = synthesize(given, LocalProcessExecutor(), silent)
    manifest = json.loads((assembly / "manifest.json").read_text())
    template = json.loads((assembly / "Notes.template.json").read_text())
    types = {resource["Type"] for resource in template["Resources"].values()}
    assert manifest["artifacts"]["Notes"]["environment"] == "aws://unknown-account/unknown-region"
    assert types >= {"AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ApiGatewayV2::Api"}
    assert "AWS::CDK::Metadata" not in types
    assert {name for name, value in template["Resources"].items() if value.get("DeletionPolicy") == "Retain"}
    assert os.listdir(assembly / next(name for name in os.listdir(assembly) if name.startswith("asset."))) == [
        "handler.py"
    ]
