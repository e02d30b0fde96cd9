"""The sample app's assembly in two versions, and both deployers in folders of an app that has no synth to run."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.peers import Program, cdk_cli, stagedoor_cli
from bench.sample import APP
from demo.aws.server import LocalAws
from tests.stagedoor.assembly.conftest import cdk_python

OURS, THEIRS = "100000000001", "100000000002"
PROGRAM = 'mkdir -p "$CDK_OUTDIR" && cp -r assembly/. "$CDK_OUTDIR"'


@dataclass(frozen=True)
class Deployers:
    """Ours and the CDK CLI in one folder of the app, and the environment of either's account."""

    folder: Path
    aws: LocalAws
    versions: dict[int, Path]

    def account(self, number: str) -> dict[str, str]:
        return self.aws.environment(number)

    def stagedoor(self, number: str) -> Program:
        return stagedoor_cli(self.folder, self.account(number))

    def cdk(self, number: str) -> Program:
        return cdk_cli(self.folder, self.account(number), self.folder.parent / "cdk-home")

    def use(self, version: int) -> None:
        """Let the app be of a version: the code of one function tells them apart."""
        shutil.rmtree(self.folder / "assembly", ignore_errors=True)
        shutil.copytree(self.versions[version], self.folder / "assembly")


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The sample app's assembly, three times: each with other code of one function."""
    folder = tmp_path_factory.mktemp("shop")
    first = synthesised(folder)
    return {1: first, **{number: with_other_code(first, folder / str(number), number) for number in (2, 3)}}


def synthesised(folder: Path) -> Path:
    app = folder / "app"
    shutil.copytree(APP, app)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ["HOME"],
        "CDK_OUTDIR": str(folder / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(json.loads((app / "cdk.json").read_text())["context"]),
        "CDK_VALIDATION": "false",
    }
    subprocess.run([cdk_python(), "app.py"], cwd=app, env=environment, check=True, capture_output=True)
    return folder / "cdk.out"


def with_other_code(assembly: Path, copy: Path, number: int) -> Path:
    """Copy an assembly as the app would write it with a line more in `functions/orders`, at a fraction of the time."""
    shutil.copytree(assembly, copy)
    handler = next(file for file in copy.glob("asset.*/handler.py") if "HTTP API" in file.read_text())
    handler.write_text(f"{handler.read_text()}\n# version {number}\n")
    before = handler.parent.name.removeprefix("asset.")
    handler.parent.rename(copy / f"asset.{_renamed(copy, before, handler.read_bytes())}")
    for listing in copy.glob("*.assets.json"):
        for before, asset in json.loads(listing.read_text())["files"].items():
            if asset["source"]["packaging"] == "file":
                _renamed(copy, before, (copy / asset["source"]["path"]).read_bytes())
    return copy


def _renamed(assembly: Path, before: str, content: bytes) -> str:
    """Give an asset another hash wherever the assembly names it: the CDK CLI publishes no hash twice."""
    after = hashlib.sha256(content).hexdigest()
    for file in assembly.glob("*.json"):
        file.write_text(file.read_text().replace(before, after))
    return after


@pytest.fixture
def deployers(tmp_path: Path, versions: dict[int, Path]) -> Iterator[Deployers]:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "cdk.json").write_text(json.dumps({"app": PROGRAM}))
    with LocalAws(tmp_path / "aws") as aws:
        yield Deployers(folder, aws, versions)
