import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from demo.aws.server import LocalAws
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.cli.command import Command, tiny_app
from tests.stagedoor.cli.deployed import APP

_accounts = itertools.count(1)


@pytest.fixture(scope="session")
def cli_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture
def account(cli_aws: LocalAws) -> dict[str, str]:
    """An account of this test's own, as environment variables."""
    return cli_aws.environment(f"{os.getpid() % 10**6:06d}{next(_accounts):06d}")


@pytest.fixture
def aws(account: dict[str, str]) -> boto3.Session:
    """The account as the test itself looks into it."""
    return boto3.Session(account["AWS_ACCESS_KEY_ID"], account["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")


@pytest.fixture
def stagedoor(tmp_path: Path, account: dict[str, str]) -> Command:
    """The command in the folder of a tiny app, with the local AWS."""
    return Command(tiny_app(tmp_path / "tiny"), account)


@pytest.fixture
def scripted() -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation() as endpoint:
        yield endpoint


@pytest.fixture
def slow(tmp_path: Path, scripted: ScriptedCloudFormation) -> Command:
    """The command in the folder of a tiny app, with a CloudFormation that can be held up."""
    return Command(tiny_app(tmp_path / "tiny"), {**scripted.environment(), "AWS_SECRET_ACCESS_KEY": "scripted"})


@pytest.fixture(scope="module")
def looked_at(cli_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command in the folder of an app with functions, whose stage dev is deployed."""
    folder = tiny_app(tmp_path_factory.mktemp("looked-at") / "shop")
    (folder / "app.py").write_text(APP)
    account = f"{os.getpid() % 10**6:06d}{next(_accounts):06d}"
    stagedoor = Command(folder, cli_aws.environment(account))
    deployed = stagedoor("deploy", "--stage", "dev")
    assert deployed.returncode == 0, deployed.stderr
    return stagedoor
