"""How mode 3 installs its engine: from nothing that lies in the checkout, which is a pull request's."""

import io
from pathlib import Path

import pytest

from action.engine import Engine, install
from action.refusal import Refused
from action.runner import Runner
from tests.action.apps import put_app
from tests.action.job import OLD

NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}


def test_nothing_of_the_checkout_is_run_or_read(job, tmp_path: Path):
    here = job(env={**NOWHERE, "RUNNER_TOOL_CACHE": str(tmp_path / "tools"), "PIP_USER": "1"})
    put_app(here.workspace)
    for name in ("logging", "subprocess", "venv", "pip"):
        (here.workspace / f"{name}.py").write_text("import pathlib; pathlib.Path('ran').touch(); raise SystemExit(3)")
    tools = here.folder / "tools of the job"
    tools.mkdir()
    (tools / "uv").write_text("#!/bin/sh\ntouch ran\n")
    (tools / "uv").chmod(0o755)
    here.prepend_path(tools)
    assert not here.use()
    assert not (here.workspace / "ran").exists()
    assert "'--user' install" not in here.log
    assert here.ran == ["engine", "cache", "install"]
    assert here.errors[0].startswith("The deploy engine could not be installed: python ended with 1.")
    assert here.outputs["status"] == "failed"


@pytest.mark.skipif(OLD is None, reason="there is no Python 3.9 here")
def test_an_old_python_is_told_its_remedy(job):
    here = job()
    here.prepend_path(Path(str(OLD)).parent)
    assert not here.use()
    assert here.errors[0].startswith("The deploy engine needs Python 3.11 or newer, and python3 is 3.9.")
    assert here.outputs["status"] == "failed"


def test_an_installation_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("action.engine._SECONDS", 0.01)
    with pytest.raises(Refused) as refused:
        install(Engine(tmp_path / "engine", "key"), NOWHERE, Runner({}, io.StringIO()))
    assert refused.value.id == "engine-not-installed"
