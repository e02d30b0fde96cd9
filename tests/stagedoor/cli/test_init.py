"""`stagedoor init`: an empty folder becomes an app with a URL; what is there already stays as it is."""

import http.client
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from tests.stagedoor.cli.command import ROOT, Command

pytestmark = [pytest.mark.xdist_group("init"), pytest.mark.timeout(400)]  # all of them share one environment
NAME = "journal"


@pytest.fixture(scope="module")
def begun(cli_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command in a folder that was empty before `stagedoor init`, in the account whose URLs answer."""
    folder = tmp_path_factory.mktemp("begun") / NAME
    folder.mkdir()
    stagedoor = Command(folder, cli_aws.environment(DEFAULT_ACCOUNT))
    made = stagedoor("init")
    assert made.returncode == 0, made.stderr
    assert "stagedoor deploy   # a stage of your own, with a URL" in made.stderr
    stagedoor("bootstrap")
    return stagedoor


def beside(begun: Command, folder: Path) -> Command:
    """The command in another folder, with what takes time in there already: Stagedoor's wheel, and the lock."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(begun.folder / "vendor", folder / "vendor")
    shutil.copy(begun.folder / "uv.lock", folder)
    return begun.at(folder)


def call(aws: LocalAws, url: str, method: str = "GET", path: str = "/", body: object = None) -> tuple[int, object]:
    where, host = aws.url_for(url.rstrip("/") + path)
    parts = urlsplit(where)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"Host": host, "Content-Type": "application/json"}
    connection.request(method, parts.path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_an_empty_folder_gets_a_url(begun: Command, cli_aws: LocalAws):
    deployed = begun.result("deploy", "--stage", "dev")
    assert deployed["ok"], deployed
    assert list(deployed["outputs"]["Notes"]) == ["Url"]
    url = begun("outputs", "Url", "--stage", "dev").stdout.strip()
    assert call(cli_aws, url) == (200, [])
    status, note = call(cli_aws, url, "POST", "/", {"text": "hello"})
    assert status == 201
    assert call(cli_aws, url) == (200, [note])
    assert json.loads(begun("invoke", "notes.read", "--stage", "dev").stdout)["statusCode"] == 200
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "AWS_DEFAULT_REGION": "us-east-1"}
    tests = [sys.executable, "-m", "pytest", "-q"]
    assert "2 passed" in subprocess.check_output(tests, cwd=begun.folder, env=environment, text=True)
    removed = begun.result("remove", "--stage", "dev", "--yes")
    assert removed["kept"] == []


@pytest.mark.parametrize("template", ["minimal", "typescript-functions"])
def test_the_other_templates(begun: Command, cli_aws: LocalAws, tmp_path: Path, template: str):
    stagedoor = beside(begun, tmp_path / NAME)
    assert stagedoor("init", "--template", template, "--no-lock").returncode == 0
    deployed = stagedoor.result("deploy", "--stage", template[:4])
    assert deployed["ok"], deployed
    assert call(cli_aws, deployed["outputs"]["Hello"]["Url"]) == (200, {"hello": "world"})
    assert stagedoor("remove", "--stage", template[:4], "--yes").returncode == 0


def test_a_front_end_gets_an_api_and_is_deployed(begun: Command, cli_aws: LocalAws, tmp_path: Path):
    stagedoor = beside(begun, tmp_path / NAME)
    package = {"scripts": {"build": "node build.mjs"}, "devDependencies": {"vite": "7"}}
    (stagedoor.folder / "package.json").write_text(json.dumps(package))
    (stagedoor.folder / "build.mjs").write_text(
        'import fs from "node:fs"; fs.mkdirSync("dist", { recursive: true });'
        'fs.writeFileSync("dist/index.html", `asks ${process.env.VITE_API_URL}`);'
    )
    (stagedoor.folder / "node_modules").mkdir()
    (stagedoor.folder / ".gitignore").write_text("dist/\nnode_modules")
    made = stagedoor.result("init", "--no-lock")
    assert "infra/app.py" in made["written"]
    assert made["extended"] == [".gitignore"]
    ignored = (stagedoor.folder / ".gitignore").read_text().splitlines()
    assert ignored[:2] == ["dist/", "node_modules"]
    assert "cdk.out/" in ignored[2:]
    assert "node_modules/" not in ignored
    deployed = stagedoor.result("deploy", "--stage", "site")
    assert deployed["ok"], deployed
    assert call(cli_aws, deployed["outputs"]["Web"]["ApiUrl"], path="/hello") == (200, {"hello": "world"})
    assert deployed["outputs"]["Web"]["Url"].startswith("https://")
    assert stagedoor("remove", "--stage", "site", "--yes").returncode == 0


def test_a_cdk_app_is_left_as_it_is(stagedoor: Command):
    before = {name: (stagedoor.folder / name).read_text() for name in files(stagedoor.folder)}
    made = stagedoor.result("init")
    assert made["written"] == ["stagedoor.toml", ".gitignore"]
    assert {name: (stagedoor.folder / name).read_text() for name in before} == before
    assert stagedoor.result("init")["written"] == []
    assert stagedoor.result("deploy", "--stage", "dev")["ok"]


def test_nothing_is_overwritten(begun: Command, tmp_path: Path):
    stagedoor = beside(begun, tmp_path / NAME)
    (stagedoor.folder / "app.py").write_text("mine")
    refused = stagedoor("init")
    assert refused.returncode == 1
    assert f"{stagedoor.folder} holds app.py, uv.lock, vendor" in refused.stderr
    made = stagedoor.result("init", "--template", "minimal", "--no-lock")
    assert "app.py" not in made["written"]
    assert (stagedoor.folder / "app.py").read_text() == "mine"


PROJECT = """
[project]
name = "stagedoor"
version = "0.1.0"
requires-python = ">=3"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""


def git(folder: Path, *words: str) -> str:
    return subprocess.check_output(["git", *words], cwd=folder, text=True).strip()


def installed(folder: Path, origin: dict[str, object] | None) -> Path:
    """Write down in a folder that Stagedoor was installed, and from where, as pip does."""
    about = folder / "stagedoor-0.1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stagedoor\nVersion: 0.1.0\n")
    if origin:
        (about / "direct_url.json").write_text(json.dumps(origin))
    return folder


def test_the_project_depends_on_the_stagedoor_that_made_it(stagedoor: Command, tmp_path: Path):
    wheel = tmp_path / "stagedoor-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    source = tmp_path / "source"
    (source / "stagedoor").mkdir(parents=True)
    (source / "stagedoor" / "__init__.py").write_text("WHICH = 1\n")
    (source / "pyproject.toml").write_text(PROJECT)
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "-c", "user.name=mona", "-c", "user.email=mona@example.com", "commit", "--quiet", "-m", "first")
    commit = git(source, "rev-parse", "HEAD")
    (source / "stagedoor" / "__init__.py").write_text("WHICH = 2\n")
    origins: dict[str, dict[str, object] | None] = {
        "index": None,
        "repository": {"url": source.as_uri(), "vcs_info": {"vcs": "git", "commit_id": commit}},
        "file": {"url": wheel.as_uri(), "archive_info": {}},
        "elsewhere": {"url": "https://example.com/stagedoor-0.1.0-py3-none-any.whl", "archive_info": {}},
    }
    projects = {}
    for name, origin in origins.items():
        folder = tmp_path / name
        folder.mkdir()
        path = f"{installed(tmp_path / f'installed-{name}', origin)}:{ROOT}"
        made = stagedoor.at(folder, PYTHONPATH=path)("init", "--no-lock")
        projects[name] = (folder / "pyproject.toml").read_text() if made.returncode == 0 else made.stderr
    assert '"stagedoor==0.1.0"' in projects["index"]
    assert "[tool.uv.sources]" not in projects["index"]
    assert 'stagedoor = { path = "vendor/stagedoor-0.1.0-py3-none-any.whl" }' in projects["file"]
    assert (tmp_path / "file" / "vendor" / wheel.name).read_bytes() == b"wheel"
    assert "Install it from an index, or from a wheel's file" in projects["elsewhere"]
    with zipfile.ZipFile(tmp_path / "repository" / "vendor" / wheel.name) as built:
        assert built.read("stagedoor/__init__.py") == b"WHICH = 1\n"  # as that commit has it
