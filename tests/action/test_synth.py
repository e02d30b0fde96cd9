"""Mode 2: what a job that holds nothing leaves for the service, and what it refuses."""

import io
import json
import os
import shutil
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from service.stages.artifact import open_letter
from stagedoor.assembly.inspection import InspectionLimits, inspect_assembly
from stagedoor.assembly.packing import unpack
from stagedoor.assembly.reader import read_assembly
from stagedoor.target import Target
from tests.action.apps import ASSETS, HUNT, put_app
from tests.action.conftest import COMMIT, pull_request
from tests.action.job import OLD, ROOT


def unpacked(artifact: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(artifact)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_assembly_is_left_as_an_artifact(job):
    here = job()
    put_app(here.workspace, ASSETS)
    assert here.use(synth="runner"), here.log
    assert here.ran == ["synth", "artifact"]
    assert here.outputs["stage"] == "pr-7"
    assert here.outputs["status"] == "synthesised"
    files = unpacked(here.artifacts["stagedoor-assembly"])
    note = json.loads(files.pop("stagedoor-artifact.json"))
    assert note == {
        "version": 1,
        "app": "notes",
        "commit": COMMIT,
        "stage": "pr-7",
        "executables": ["asset.code/again", "asset.code/bootstrap"],
    }
    assert set(files) == {
        "manifest.json",
        "Tiny.template.json",
        "Tiny.assets.json",
        "asset.code/bootstrap",
        "asset.code/.hidden",
        "asset.code/again",
    }
    environment = json.loads(files["manifest.json"])["artifacts"]["Tiny"]["environment"]
    assert environment == "aws://unknown-account/unknown-region"
    assert "synth | the word is hello" in here.log
    assert not list(here.folder.rglob("pwned"))
    assert here.heard.masks == []
    assert here.errors == []


def test_an_app_of_several_is_named(job):
    here = job()
    put_app(here.workspace / "services" / "web", 'print("I am", os.environ["STAGEDOOR_APP_FOLDER"])')
    toml = '[apps.web]\npath = "services/web"\ncommand = "python3 app.py and more"\n[apps.api]\npath = "api"\n'
    (here.workspace / "stagedoor.toml").write_text(toml)
    assert not here.use(synth="runner")
    assert here.errors == ["This repository has several apps: api, web. Name one with the input `app`."]
    assert here.use(synth="runner", app="web")
    assert "I am services/web" in here.log
    assert list(here.artifacts) == ["stagedoor-assembly-web"]
    assert here.use(synth="runner", app="services/web")
    assert json.loads(unpacked(here.artifacts["stagedoor-assembly-web"])["stagedoor-artifact.json"])["app"] == "web"


def test_a_mistake_is_shown_at_its_line(job):
    here = job()
    put_app(here.workspace, "\nraise ValueError('::error::no ##[add-mask]no')\n")
    line = len((here.workspace / "app.py").read_text().splitlines())
    assert not here.use(synth="runner")
    [(level, where, said)] = here.heard.annotations
    assert (level, where["file"], where["line"], where["title"]) == (
        "error",
        "app.py",
        str(line),
        "Stagedoor: synth-failed",
    )
    assert said.startswith("The app's program (python3 app.py) ended with status 1: ValueError: ")
    assert here.heard.masks == []
    assert "synth-failed" not in here.summary
    assert "ended with status 1" in here.summary
    assert here.outputs["status"] == "failed"
    assert "artifact" not in here.ran


MISSING = """
manifest = json.loads((out / "manifest.json").read_text())
manifest["missing"] = [{"key": "ssm:account=1:x", "provider": "ssm", "props": {}}]
(out / "manifest.json").write_text(json.dumps(manifest))
"""
OUTSIDE = """
code = pathlib.Path("lambda").resolve()
code.mkdir()
(code / "index.py").write_text("x")
source = {"path": str(code), "packaging": "zip"}
(out / "Tiny.assets.json").write_text(json.dumps({"files": {"b" * 64: {"source": source, "destinations": {}}}}))
"""
LINK = '(out / "asset.x").mkdir(); (out / "asset.x" / "passwd").symlink_to("/etc/passwd")'
PIPE = 'os.mkfifo(out / "pipe")'
NOTHING = '(out / "manifest.json").unlink()'


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (MISSING, "context-missing"),
        (LINK, "link-leads-out"),
        (PIPE, "special-file"),
        ("(out / 'a:b').touch()", "file-name-cannot-travel"),
        ("open(bytes(out / 'a') + bytes([255]), 'w')", "file-name-cannot-travel"),
        (NOTHING, "synth-wrote-no-assembly"),
        (OUTSIDE.replace("code.mkdir()", "").replace('(code / "index.py").write_text("x")', ""), "asset-not-found"),
    ],
)
def test_an_assembly_that_cannot_travel_is_refused_by_name(job, more: str, error: str):
    here = job()
    put_app(here.workspace, more)
    assert not here.use(synth="runner")
    assert [where["title"] for _, where, _ in here.heard.annotations] == [f"Stagedoor: {error}"]
    assert not here.artifacts


def test_an_asset_that_lies_elsewhere_is_brought_in(job):
    here = job()
    put_app(here.workspace, OUTSIDE)
    assert here.use(synth="runner"), here.log
    files = unpacked(here.artifacts["stagedoor-assembly"])
    [asset] = json.loads(files["Tiny.assets.json"])["files"].values()
    assert files[f"{asset['source']['path']}/index.py"] == b"x"


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"env": {"AWS_SECRET_ACCESS_KEY": "x"}}, "job-holds-credentials"),
        ({"tokens": {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}}, "job-holds-credentials"),
        ({"name": "pull_request_target"}, "unsafe-event"),
    ],
)
def test_a_job_that_holds_credentials_runs_no_code(job, more, error: str):
    here = job(**more)
    put_app(here.workspace, "pathlib.Path('ran').touch()")
    assert not here.use(synth="runner")
    assert [where["title"] for _, where, _ in here.heard.annotations] == [f"Stagedoor: {error}"]
    assert not (here.workspace / "ran").exists()


def test_a_hostile_app_finds_no_credentials(job):
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    here = job(env={"MARK": mark})
    put_app(here.workspace, HUNT % mark)
    assert here.use(synth="runner"), here.log
    assert "FOUND []" in here.log
    held = job(env={"MARK": mark, "MY_TOKEN": "ghp_abcdefghijklmnop"})
    put_app(held.workspace, HUNT % mark)
    held.use(synth="runner")
    assert "environment MY_TOKEN: ghp_abcdefgh" in held.log
    assert "process python3: ghp_abcdefgh" in held.log


def test_the_runners_files_are_not_the_apps(job):
    here = job()
    put_app(
        here.workspace, "print('OWN', sorted(n for n in os.environ if n.startswith(('GITHUB_', 'RUNNER_', 'INPUT_'))))"
    )
    assert here.use(synth="runner", app=".")
    assert "OWN ['GITHUB_ACTIONS', 'GITHUB_HEAD_REF', 'GITHUB_REF', 'GITHUB_SHA']" in here.log


def test_env_files_are_told_to_the_program(job):
    here = job(env={"REGION_OF_CI": "eu-west-1"})
    told = "[os.environ[name] for name in ('GREETING', 'REGION_OF_CI', 'STAGEDOOR_STAGE')]"
    put_app(here.workspace, f"print('TOLD', *{told})")
    (here.workspace / ".env").write_text("GREETING=hello\nREGION_OF_CI=us-east-1\nSTAGEDOOR_STAGE=prod\n")
    (here.workspace / ".env.pr-7").write_text("GREETING=${GREETING}-7")
    assert here.use(synth="runner"), here.log
    assert "TOLD hello-7 eu-west-1 pr-7" in here.log
    (here.workspace / ".env").write_text("this is none\n")
    assert not here.use(synth="runner")
    [(_, where, _)] = here.heard.annotations
    assert (where["file"], where["line"], where["title"]) == (".env", "1", "Stagedoor: invalid-env-file")


def test_a_token_that_the_checkout_kept_is_warned_of(job):
    here = job()
    put_app(here.workspace)
    (here.workspace / ".git").mkdir()
    (here.workspace / ".git" / "config").write_text(
        '[http "https://github.com/"]\n\textraheader = AUTHORIZATION: basic eA==\n'
    )
    assert here.use(synth="runner")
    assert [(level, where["title"]) for level, where, _ in here.heard.annotations] == [
        ("warning", "Stagedoor: checkout-kept-token")
    ]


def test_a_cancelled_job_ends_the_program_and_what_it_started(job):
    here = job()
    put_app(here.workspace, "import subprocess, time; subprocess.Popen(['sleep', '61.7']); print('up'); time.sleep(60)")
    began = time.monotonic()
    working = threading.Thread(target=lambda: here.use(synth="runner"))
    working.start()
    while "synth | up" not in here.log and time.monotonic() - began < 20:
        time.sleep(0.02)
    here.cancel()
    working.join(10)
    assert time.monotonic() - began < 8
    assert here.outputs["status"] == "cancelled"
    assert not here.artifacts
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists() and b"sleep\x0061.7" in _read(p)]
    assert left == []


def test_a_program_that_takes_too_long_is_ended(job):
    here = job()
    put_app(here.workspace, "import time; time.sleep(60)")
    assert not here.use(synth="runner", timeout="0.02")
    assert here.errors == ["The app's program took longer than 1 s. Raise the input `timeout`."]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"synth": "service"}, "The input `synth` is 'service'. Write `runner`, or leave it out."),
        ({"timeout": "$(id)"}, "The input `timeout` is '$(id)'. Write minutes, such as 30."),
        ({"working_directory": ".."}, "The input `working-directory` is '..'. Name a folder of the workspace."),
        ({"working_directory": "x"}, "There is no folder 'x' in the workspace."),
        ({"stage": "$(id)"}, "'$(id)' cannot name a stage."),
        ({"app": "../.."}, "../.. leads out of the repository."),
        ({"config": "/etc/passwd"}, "/etc/passwd leads out of the repository."),
    ],
)
def test_a_wrong_input_is_refused(job, given, said: str):
    here = job()
    put_app(here.workspace)
    assert not here.use(**{"synth": "runner", **given})
    assert here.errors[0].startswith(said)
    assert not list(here.folder.rglob("pwned"))


def test_a_branch_without_a_pull_request_has_its_own_stage(job):
    event = {"ref": "refs/heads/fix", "repository": {"id": 4242}}
    here = job(event, "push", github={"ref": "refs/heads/fix", "sha": "1" * 40})
    put_app(here.workspace)
    assert here.use(synth="runner")
    note = json.loads(unpacked(here.artifacts["stagedoor-assembly"])["stagedoor-artifact.json"])
    assert (note["stage"], note["commit"]) == ("fix", "1" * 40)


def test_a_pull_request_of_a_fork_is_synthesised_alike(job):
    event = pull_request(head="2" * 40)
    event["pull_request"]["head"]["repo"] = {"id": 1, "full_name": "mallory/notes"}
    here = job(event)
    put_app(here.workspace)
    assert here.use(synth="runner")
    assert json.loads(unpacked(here.artifacts["stagedoor-assembly"])["stagedoor-artifact.json"])["commit"] == "2" * 40


@pytest.mark.skipif(OLD is None, reason="there is no Python 3.9 here")
def test_the_oldest_python_of_runners_will_do(job):
    here = job()
    here.prepend_path(Path(str(OLD)).parent)
    put_app(here.workspace, ASSETS + "\nimport sys; print('Python', sys.version)")
    assert here.use(synth="runner"), here.log
    assert "synth | Python 3.9" in here.log
    assert here.artifacts


@pytest.mark.xdist_group("cdk")
def test_a_real_cdk_apps_assembly_passes_the_services_inspection(job, tmp_path: Path):
    here = job(env={"CDK_VALIDATION": "false"})  # half of the time, and not what this is about
    shutil.copytree(
        ROOT / "examples" / "notes",
        here.workspace,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns(".venv", "cdk.out", "__pycache__"),
    )
    here.prepend_path(Path(sys.executable).parent)
    assert here.use(synth="runner"), here.log
    (tmp_path / "artifact.zip").write_bytes(here.artifacts["stagedoor-assembly"])
    limits = InspectionLimits()
    unpack(tmp_path / "artifact.zip", tmp_path / "assembly", limits)
    open_letter(tmp_path / "assembly", "pr-7")
    target = Target("here", "1" * 12, "eu-west-1")
    assembly = read_assembly(tmp_path / "assembly")
    inspect_assembly(assembly, target)
    assert [stack.own_name for stack in assembly.stacks] == ["Notes"]
    assert any(asset.source.is_dir() for stack in assembly.stacks for asset in stack.assets)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
