"""The examples as somebody uses them: deployed by the command, used over HTTP, removed."""

import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from tests.stagedoor.cli.command import ROOT, Command

pytestmark = [pytest.mark.xdist_group("examples"), pytest.mark.timeout(400)]
UNFOLLOWED = "[mypy]\n[mypy-aws_cdk.*]\nfollow_imports = skip\n"
"""How the examples are checked here: to read all types of the CDK takes a minute, which `make lint` spends anyway."""
UNUSED = shutil.ignore_patterns(".venv", "cdk.out", "__pycache__", "node_modules")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What of this checkout an example needs: itself, and the library two folders above it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("stagedoor", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=UNUSED)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    (folder / "examples" / "mypy.ini").write_text(UNFOLLOWED)
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    return folder


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Site:
    """A deployed API, at the URL that AWS gave it."""

    aws: LocalAws
    url: str

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        url, host = self.aws.url_for(self.url.rstrip("/") + path)
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.netloc, timeout=30)
        try:
            sent = {"Host": host, "Content-Type": "application/json"}
            sent |= {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request(method, where.path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode())
        finally:
            connection.close()


def until(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)


def command(checkout: Path, example: str, aws: LocalAws) -> Command:
    # The local AWS looks for the API of a request without credentials in this account alone.
    stagedoor = Command(checkout / "examples" / example, aws.environment(DEFAULT_ACCOUNT))
    assert stagedoor("bootstrap").returncode == 0
    return stagedoor


def left(aws: LocalAws) -> list[str]:
    session = boto3.Session(DEFAULT_ACCOUNT, "x", region_name="us-east-1")
    cloudformation = session.client("cloudformation", endpoint_url=aws.endpoint)
    logs = session.client("logs", endpoint_url=aws.endpoint)
    stacks = [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    return [name for name in (*stacks, *groups) if not name.startswith("stagedoor-bootstrap-")]


def strictly(example: Path) -> list[str]:
    """Return the errors that a strict mypy finds in an example, with the types that its deploy has written."""
    settings = ["--config-file", "../mypy.ini", "--cache-dir", "../mypy"]
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *settings, "."]
    return subprocess.run(words, cwd=example, capture_output=True, text=True, check=False).stdout.splitlines()


def misspell(file: Path, right: str, wrong: str) -> None:
    text = file.read_text()
    assert right in text
    file.write_text(text.replace(right, wrong))


def test_the_shortener(checkout: Path, aws: LocalAws):
    stagedoor = command(checkout, "shortener", aws)
    deployed = stagedoor.result("deploy", "--stage", "dev")
    assert deployed["ok"], deployed
    site = Site(aws, deployed["outputs"]["Shortener"]["Url"])

    made = site("POST", "/shorten", {"url": "https://docs.python.org"})
    assert made.status == 201, made
    code = made.json["code"]
    for _ in range(2):
        followed = site("GET", f"/{code}")
        assert (followed.status, followed.headers["location"]) == (302, "https://docs.python.org")
    assert site("GET", f"/stats/{code}").json == {"url": "https://docs.python.org", "clicks": 2}
    assert site("GET", "/nothing").status == 404
    assert site("POST", "/shorten", {"url": "javascript:alert(1)"}).status == 400
    assert strictly(stagedoor.folder) == []

    assert stagedoor.result("deploy", "--stage", "dev")["unchanged"]
    assert stagedoor.result("remove", "--stage", "dev", "--yes")["ok"]
    assert left(aws) == []


def test_the_ledger(checkout: Path, aws: LocalAws):
    stagedoor = command(checkout, "ledger", aws)
    unset = stagedoor("deploy", "--stage", "dev")
    assert unset.returncode == 1
    assert "SigningKey" in unset.stderr
    setting = stagedoor.start("secrets", "set", "SigningKey", "--stage", "dev", stdin=subprocess.PIPE)
    setting.communicate("a key", timeout=60)
    deployed = stagedoor.result("deploy", "--stage", "dev")
    assert deployed["ok"], deployed
    outputs = deployed["outputs"]["Ledger"]
    bank = Site(aws, outputs["Url"])

    assert bank("PUT", "/accounts/alice", {"balance": 1000}).status == 201
    assert bank("PUT", "/accounts/bob", {}).status == 201
    assert bank("PUT", "/accounts/bob", {"balance": 5}).status == 409
    wish = {"from": "alice", "to": "bob", "cents": 250}
    receipts = {bank("POST", "/transfers", wish, idempotency_key="one").json["receipt"] for _ in range(2)}
    assert len(receipts) == 1
    until(lambda: bank("GET", "/accounts/bob").json["balance"] == 250)
    bank("POST", "/transfers", {**wish, "cents": 9999}, idempotency_key="too much")
    bank("POST", "/transfers", {**wish, "cents": 50}, idempotency_key="two")
    until(lambda: bank("GET", "/accounts/bob").json["balance"] == 300)
    assert bank("GET", "/accounts/alice").json["balance"] == 700

    invoked = stagedoor("invoke", "Nightly", "--stage", "dev")
    assert '"written": 2' in invoked.stdout, invoked
    s3 = boto3.Session(DEFAULT_ACCOUNT, "x", region_name="us-east-1").client("s3", endpoint_url=aws.endpoint)
    assert len(s3.list_objects_v2(Bucket=outputs["Statements"])["Contents"]) == 2
    pages = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if "site" in bucket["Name"].lower()]
    page = s3.get_object(Bucket=pages[0], Key="index.html")["Body"].read().decode()
    assert f'const api = "{outputs["Url"]}"' in page

    assert stagedoor.result("remove", "--stage", "dev", "--yes")["ok"]
    assert left(aws) == []
    assert strictly(stagedoor.folder) == []
    misspell(stagedoor.folder / "functions" / "transfers.py", "Secret.SigningKey.value", "Secret.SigningKey.valeu")
    misspell(stagedoor.folder / "functions" / "statements.py", "Table.Accounts", "Table.Account")
    wrong = [line.split(": error: ") for line in strictly(stagedoor.folder)]
    assert [(where.split(":")[0], said.split(";")[0]) for where, said in wrong] == [
        ("functions/transfers.py", '"_Secret_SigningKey" has no attribute "valeu"'),
        ("functions/statements.py", '"_Table" has no attribute "Account"'),
    ]
