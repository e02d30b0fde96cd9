import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.aws.server import LocalAws
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.events import silent
from stagedoor.target import Target

_accounts = itertools.count(1)


@pytest.fixture(scope="session")
def deploy_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture
def target(deploy_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An account of its own for each test, in the environment as any AWS SDK finds it."""
    account = f"{os.getpid() % 10**6:06d}{next(_accounts):06d}"
    for name, value in deploy_aws.environment(account).items():
        monkeypatch.setenv(name, value)
    return Target(name="local", account=account, region="us-east-1")


@pytest.fixture
def clients(target: Target) -> Clients:
    clients = Clients(target)
    bootstrap(clients, target, silent)
    return clients


@pytest.fixture
def app(tmp_path: Path) -> Path:
    directory = tmp_path / "cdk.out"
    directory.mkdir()
    return directory
