"""Real installations of small packages, each into a cache that is new."""

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.bundling.tools import find_uv
from stagedoor.events import Event, silent
from stagedoor.synth import dependencies
from stagedoor.synth.dependencies import Environment, InstallFailed, install, to_log
from stagedoor.synth.executor import Command, LocalProcessExecutor
from stagedoor.synth.recipes import UnsupportedDependencies
from tests.stagedoor.bundling.project import wheel

REQUIREMENT = "publication==0.0.3"
PROJECT = f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["{REQUIREMENT}"]\n'


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "app"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path.resolve() / "cache"


def run_in(environment: Environment, app: Path, script: str) -> list[str]:
    lines: list[str] = []
    path = ":".join(map(str, environment.path))
    command = Command(
        "synth",
        ("/bin/sh", "-c", f'PATH="{path}:$PATH"; {script}'),
        app,
        environment.variables,
        environment.readable,
        (app,),
    )
    LocalProcessExecutor().run(command, lines.append)
    return lines


def made(cache: Path) -> list[Path]:
    return [place for place in (cache / "environments").iterdir() if place.is_dir() and not place.is_symlink()]


def test_uv_lock(app, cache):
    (app / "pyproject.toml").write_text(PROJECT + '[build-system]\nrequires = ["hatchling"]\n')
    subprocess.run([str(find_uv()), "lock", "--quiet"], cwd=app, check=True)
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    assert run_in(environment, app, "python -c 'import publication; print(1)'; uv run python -c 'print(2)'") == [
        "1",
        "2",
    ]
    assert sorted(file.name for file in app.iterdir()) == ["pyproject.toml", "uv.lock"]


@pytest.mark.parametrize("with_uv", [True, False])
def test_requirements(app, cache, monkeypatch, with_uv):
    if not with_uv:
        monkeypatch.setattr(dependencies, "find_uv", lambda: None)
    (app / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    assert run_in(environment, app, "python3 -c 'import publication; print(1)'") == ["1"]


LOCKED_BY_POETRY = """
[[package]]
name = "publication"
version = "0.0.3"
files = [{ file = "publication.whl", hash = "sha256:0248885351febc11d8a1098d5c8e3ab2dabcf3e8c0c96db1e17ecd12b53afbe6" }]
"""
POETRY = {"poetry.lock": LOCKED_BY_POETRY, "pyproject.toml": '[tool.poetry.dependencies]\npublication = "0.0.3"\n'}
PIPENV = {"Pipfile.lock": '{"default": {"publication": {"version": "==0.0.3"}}}'}


@pytest.mark.parametrize("files", [POETRY, PIPENV], ids=["poetry", "pipenv"])
def test_locks_of_tools_that_are_not_here(app, cache, files):
    for name, text in files.items():
        (app / name).write_text(text)
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    assert run_in(environment, app, "python -c 'import publication; print(1)'") == ["1"]


@pytest.mark.parametrize("locked", [True, False], ids=["uv.lock", "pyproject.toml"])
def test_folders_and_wheels_of_the_repository_itself(app, cache, locked):
    wheel(app.parent / "vendor", "vendored", "WHERE = 'wheel'\n")
    shared = app.parent / "library"
    (shared / "src" / "shared").mkdir(parents=True)
    (shared / "src" / "shared" / "__init__.py").write_text("WHERE = 'folder'\n")
    (shared / "pyproject.toml").write_text(PROJECT.replace('"app"', '"shared"'))
    project = PROJECT.replace(f'"{REQUIREMENT}"', '"shared", "vendored"')
    sources = "shared = { path = '../library' }\nvendored = { path = '../vendor/vendored-1.0-py3-none-any.whl' }\n"
    (app / "pyproject.toml").write_text(f"{project}[tool.uv.sources]\n{sources}")
    if locked:
        subprocess.run([str(find_uv()), "lock", "--quiet"], cwd=app, check=True)
    environment = install(app, app.parent, cache, LocalProcessExecutor(), silent)
    program = "import publication, shared, vendored; print(shared.WHERE, vendored.WHERE)"
    here = replace(environment, readable=(*environment.readable, app.parent))
    assert run_in(here, app, f"python -c '{program}'") == ["folder wheel"]


def test_a_lock_of_uv_needs_uv(app, cache, monkeypatch):
    monkeypatch.setattr(dependencies, "find_uv", lambda: None)
    (app / "pyproject.toml").write_text(PROJECT)
    with pytest.raises(UnsupportedDependencies, match="uv is not installed here"):
        install(app, app, cache, LocalProcessExecutor(), silent)


def test_npm_without_install_scripts(app, cache):
    package = {"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}, "scripts": {"install": "touch ran"}}
    (app / "package.json").write_text(json.dumps(package))
    quiet = ["--package-lock-only", "--silent", "--no-audit", "--no-fund"]
    subprocess.run(["npm", "install", *quiet], cwd=app, check=True)
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    assert environment.node_modules
    assert (environment.node_modules / "ms" / "package.json").is_file()
    assert not list(cache.rglob("ran"))
    assert not (app / "node_modules").exists()


def test_the_second_time_nothing_is_installed(app, cache):
    (app / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    first = install(app, app, cache, LocalProcessExecutor(), silent)
    events: list[Event] = []
    assert install(app, app, cache, LocalProcessExecutor(), events.append) == first
    assert not events


def test_another_lock_is_another_environment(app, cache):
    (app / "requirements.txt").write_text("publication==0.0.3\n")
    first = install(app, app, cache, LocalProcessExecutor(), silent)
    (app / "requirements.txt").write_text("publication==0.0.2\n")
    assert install(app, app, cache, LocalProcessExecutor(), silent) != first


def test_two_at_once_make_one(app, cache):
    (app / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    found: list[Environment] = []
    threads = [
        threading.Thread(target=lambda: found.append(install(app, app, cache, LocalProcessExecutor(), silent)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [found[0]] * 3
    assert len(made(cache)) == 1


def test_what_a_killed_process_left_half_made_is_thrown_away(app, cache):
    (app / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    install(app, app, cache, LocalProcessExecutor(), silent)
    (link,) = [place for place in (cache / "environments").iterdir() if place.is_symlink()]
    (whole,) = made(cache)
    link.unlink()  # as it is until an installation has ended
    (whole / "venv" / "bin" / "python").unlink()
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    assert run_in(environment, app, "python -c 'import publication; print(1)'") == ["1"]
    assert whole not in made(cache)


def test_an_installation_that_fails_shows_the_installers_words_and_leaves_nothing(app, cache):
    (app / "requirements.txt").write_text("publication==99.99\n")
    with pytest.raises(InstallFailed) as failed:
        install(app, app, cache, LocalProcessExecutor(), silent)
    assert "publication==99.99" in failed.value.detail
    assert made(cache) == []


def test_of_a_long_complaint_the_first_lines_are_kept_and_the_last():
    printed: list[str] = []
    on_line = to_log("install", printed, silent, head=2)
    for number in range(200):
        on_line(str(number))
    assert printed == ["0", "1", "…", *map(str, range(160, 200))]


def test_a_lock_that_does_not_fit_is_told_with_npms_first_words(app, cache):
    (app / "package.json").write_text(json.dumps({"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}))
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "app"}}}
    (app / "package-lock.json").write_text(json.dumps(lock))
    with pytest.raises(InstallFailed) as failed:
        install(app, app, cache, LocalProcessExecutor(), silent)
    assert "Missing: ms@2.1.3 from lock file" in failed.value.detail


def test_a_synth_cannot_change_what_others_use(app, cache):
    (app / "requirements.txt").write_text(f"{REQUIREMENT}\n")
    environment = install(app, app, cache, LocalProcessExecutor(), silent)
    run_in(environment, app, "echo 'raise SystemExit(1)' >> $VIRTUAL_ENV/lib/python*/site-packages/publication.py")
    assert run_in(environment, app, "python -c 'import publication; print(1)'") == ["1"]


def test_what_an_installation_runs_sees_nothing_of_ours(app, cache, monkeypatch):
    monkeypatch.setenv("STAGEDOOR_SECRET", "leaked")
    spy = cache.parent / "spy-1"
    spy.mkdir()
    (spy / "setup.py").write_text(
        "import os\nprint(dict(os.environ))\nraise SystemExit('spied ' + str(dict(os.environ)))\n"
    )
    subprocess.run(["tar", "-czf", app / "spy-1.tar.gz", "-C", cache.parent, "spy-1"], check=True)
    (app / "requirements.txt").write_text(f"--find-links {app}\nspy==1\n")
    with pytest.raises(InstallFailed) as failed:
        install(app, app, cache, LocalProcessExecutor(), silent)
    assert "spied" in failed.value.detail
    assert "leaked" not in failed.value.detail
