import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.aws.server import LocalAws
from stagedoor.constructs import App
from stagedoor.naming import StageIdentity
from tests.stagedoor.constructs.live_stage import LiveStage, stage_in

_accounts = itertools.count(1)
IDENTITY = StageIdentity(app="shop", stage="pr-1", prefix="shop-pr-1-abc123", repository="42", service="here")


@pytest.fixture(autouse=True)
def app_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an app, where its program runs in the stage pr-1."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "cdk.json").write_text("{}")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STAGEDOOR_STAGE", "pr-1")
    monkeypatch.setenv("STAGEDOOR_PARAMETERS", "/stagedoor/shop-abc123")
    return folder


@pytest.fixture(scope="session")
def constructs_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """A local AWS in which a role may do what its policies say, and no more."""
    with LocalAws(tmp_path_factory.mktemp("aws"), authorize=True) as aws:
        yield aws


@pytest.fixture
def new_app(tmp_path: Path) -> Callable[..., App]:
    """Make an app whose assembly does not outlive the test."""
    numbers = itertools.count(1)
    return lambda **more: App("shop", outdir=str(tmp_path / f"cdk.out.{next(numbers)}"), **more)


@pytest.fixture
def live(constructs_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LiveStage:
    """A stage in an account of this test's own, in the local AWS."""
    account = f"{os.getpid() % 10**6:06d}{next(_accounts):06d}"
    environment: dict[str, Any] = constructs_aws.environment(account)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return stage_in(account, IDENTITY, constructs_aws, tmp_path / "stage")
