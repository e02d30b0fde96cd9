"""When an assembly is used again, and when it must not be. Each synth of these apps gives another assembly."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from stagedoor.events import Event, silent
from stagedoor.synth import seen as seen_module
from stagedoor.synth.executor import Command, Completed, LocalProcessExecutor
from stagedoor.synth.program import SynthRequest
from stagedoor.synth.seen import SeenAssemblies
from stagedoor.synth.sources import as_it_was, read_sources
from stagedoor.synth.synthesis import synthesize
from stagedoor.target import Trust

TIME = "date +%s%N > $CDK_OUTDIR/manifest.json"


class Nothing:
    """Runs nothing."""

    def run(self, command: Command, on_line: Callable[[str], None]) -> Completed:
        pytest.fail(f"this was run: {command}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "app" / "lib").mkdir(parents=True)
    (root / "app" / "cdk.json").write_text(json.dumps({"app": TIME}))
    (root / "app" / "stack.py").write_text("size = 1\n")
    (root / "shared.txt").write_text("shared")
    (root / "app" / "link").symlink_to("stack.py")
    return root


@pytest.fixture
def request_(root: Path, tmp_path: Path) -> SynthRequest:
    return SynthRequest(
        app_dir=root / "app",
        root=root,
        output=tmp_path / "out",
        stage="pr-7",
        account="111111111111",
        region="eu-west-1",
        cache_dir=tmp_path / "cache",
        trust=Trust.PREVIEW,
    )


def manifest(request: SynthRequest) -> str:
    """Synthesise and return what the assembly says, which tells one run of the program from another."""
    shutil.rmtree(request.output, ignore_errors=True)
    return (synthesize(request, LocalProcessExecutor(), silent) / "manifest.json").read_text()


def test_an_equal_tree_is_not_run_again_and_says_so(request_):
    first = manifest(request_)
    events: list[Event] = []
    again = replace(request_, output=request_.output.with_name("again"))
    assembly = synthesize(again, Nothing(), events.append)
    assert (assembly / "manifest.json").read_text() == first
    assert [(event.subject, event.status) for event in events] == [("synth", "hit")]


def test_an_equal_tree_elsewhere_is_known_too(request_, root):
    first = manifest(request_)
    copy = root.with_name("clone")
    shutil.copytree(root, copy, symlinks=True)
    assert manifest(replace(request_, root=copy, app_dir=copy / "app")) == first


def relink(root: Path) -> None:
    (root / "app" / "link").unlink()
    (root / "app" / "link").symlink_to("cdk.json")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file": lambda root: (root / "app" / "stack.py").write_text("size = 2\n"),
    "a file outside of the app": lambda root: (root / "shared.txt").write_text("Shared"),
    "a new file": lambda root: (root / "app" / "new.py").touch(),
    "a new folder": lambda root: (root / "app" / "new").mkdir(),
    "a file that can be run": lambda root: (root / "app" / "stack.py").chmod(0o755),
    "a name": lambda root: (root / "shared.txt").rename(root / "Shared.txt"),
    "a link": relink,
    "looked-up context": lambda root: (root / "app" / "cdk.context.json").write_text('{"vpc": "vpc-1"}'),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_the_program_can_read_makes_another_tree(request_, root, change):
    first = manifest(request_)
    change(root)
    assert manifest(request_) != first


def test_a_commit_makes_another_tree_as_programs_put_its_id_into_tags(request_, root):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(root)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    first = manifest(request_)
    subprocess.run([*git, "status"], check=True, capture_output=True)
    assert manifest(request_) == first
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "two"], check=True)
    assert manifest(request_) != first


@pytest.mark.parametrize(
    "told",
    [
        {"stage": "pr-8"},
        {"account": "222222222222"},
        {"region": "us-east-1"},
        {"context": {"vpc": "vpc-1"}},
        {"context": {"large": "x" * 300_000}},
        {"command": f"{TIME} "},
        {"trust": Trust.PRODUCTION},
        {"remember": False},
    ],
    ids=lambda told: next(iter(told)),
)
def test_what_the_program_is_told_counts_too(request_, told):
    first = manifest(request_)
    assert manifest(replace(request_, **told)) != first


def test_the_environment_that_a_program_is_started_in_counts_too(request_, monkeypatch):
    first = manifest(request_)
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    assert manifest(request_) != first


def package_lock(root: Path) -> None:
    (root / "node_modules" / "left-pad").mkdir(parents=True)
    (root / "node_modules" / ".package-lock.json").write_text("{}")


def marked_cache(root: Path) -> None:
    (root / "kept").mkdir()
    (root / "kept" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")


FOLLOWS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "compiled Python": (lambda root: None, lambda root: (root / "app" / "__pycache__").mkdir()),
    "an assembly": (lambda root: None, lambda root: (root / "app" / "cdk.out").mkdir()),
    "a time": (lambda root: None, lambda root: os.utime(root / "shared.txt")),
    "a marked cache": (marked_cache, lambda root: (root / "kept" / "file").touch()),
    "what npm installed": (package_lock, lambda root: (root / "node_modules" / "left-pad" / "index.js").touch()),
}


@pytest.mark.parametrize(("before", "change"), FOLLOWS.values(), ids=FOLLOWS.keys())
def test_what_follows_from_the_rest_does_not_count(request_, root, before, change):
    before(root)
    first = manifest(request_)
    change(root)
    assert manifest(request_) == first


def test_an_edit_within_the_same_second_is_seen_whatever_its_times_say(tmp_path, root):
    file = root / "shared.txt"
    before = file.stat()
    first = read_sources(root, tmp_path / "trees")
    file.write_text("SHARED")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_sources(root, tmp_path / "trees").digest != first.digest


def test_files_that_are_as_they_were_are_not_read_again(tmp_path, root, monkeypatch):
    monkeypatch.setattr("stagedoor.synth.sources._RACY_NS", -10_000_000_000)  # as if all of it were old
    first = read_sources(root, tmp_path / "trees")
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("a file was read"))
    assert read_sources(root, tmp_path / "trees").digest == first.digest


def test_files_that_changed_just_before_they_were_read_are_read_again(tmp_path, root, monkeypatch):
    read_sources(root, tmp_path / "trees")
    reading = Mock(wraps=hashlib.file_digest)
    monkeypatch.setattr("hashlib.file_digest", reading)
    read_sources(root, tmp_path / "trees")
    assert reading.call_count == 3


def test_a_file_that_goes_while_its_folder_is_looked_at_is_not_of_the_tree(tmp_path, root, monkeypatch):
    first = read_sources(root, tmp_path / "trees")
    look = os.stat

    def gone(name, **how):
        (root / "app" / "passing").unlink(missing_ok=True)
        return look(name, **how)

    (root / "app" / "passing").touch()
    monkeypatch.setattr("os.stat", gone)
    assert read_sources(root, tmp_path / "trees").digest == first.digest


def test_a_pipe_in_the_tree_keeps_nobody_waiting(tmp_path, root):
    os.mkfifo(root / "CACHEDIR.TAG")
    assert read_sources(root, tmp_path / "trees")


def test_an_assembly_of_a_tree_that_changed_meanwhile_is_not_kept(request_):
    editing = replace(request_, command=f"date +%N > stack.py; {TIME}")
    first = manifest(editing)
    (request_.app_dir / "stack.py").write_text("size = 1\n")
    assert manifest(editing) != first


def test_what_the_program_writes_into_its_tree_does_not_count_against_it(request_, root):
    building = replace(request_, command=f"mkdir -p built; echo 1 > built/stack.js; {TIME}")
    first = manifest(building)
    shutil.rmtree(root / "app" / "built")  # as the service, whose trees are fetched anew
    assert manifest(building) == first


def entry_of(request: SynthRequest) -> Path:
    (entry,) = (request.cache_dir / "preview" / "assemblies").iterdir()
    return entry


def link_in_place(entry: Path) -> None:
    (entry / "files" / "manifest.json").rename(entry / "elsewhere")
    (entry / "files" / "manifest.json").symlink_to(entry / "elsewhere")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a file changed": lambda entry: (entry / "files" / "manifest.json").write_text("{}"),
    "a file cut short": lambda entry: os.truncate(entry / "files" / "manifest.json", 3),
    "a file gone": lambda entry: (entry / "files" / "manifest.json").unlink(),
    "a link in a file's place": link_in_place,
    "its list cut short": lambda entry: os.truncate(entry / "entry.json", 20),
    "another list": lambda entry: (entry / "entry.json").write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_an_entry_that_is_not_what_was_kept_is_not_used(request_, damage):
    first = manifest(request_)
    damage(entry_of(request_))
    second = manifest(request_)
    assert second != first
    assert manifest(request_) == second


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    folder = tmp_path / "assembly"
    (folder / "asset.1" / "empty").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "asset.1" / "run").write_text("#!/bin/sh")
    (folder / "asset.1" / "run").chmod(0o755)
    (folder / "asset.1" / "link").symlink_to("run")
    return folder


def test_what_is_taken_is_what_was_kept(tmp_path, assembly):
    seen = SeenAssemblies(tmp_path / "cache")
    seen.keep("key", assembly, [])
    assert seen.take("key", tmp_path / "out") == []
    taken = tmp_path / "out" / "asset.1"
    assert sorted(os.listdir(taken)) == ["empty", "link", "run"]
    assert (taken / "run").stat().st_mode & 0o777 == 0o755
    assert os.readlink(taken / "link") == "run"
    assert seen.take("other", tmp_path / "other") is None


def test_one_that_was_made_with_dependencies_that_are_gone_is_not_used(tmp_path, assembly):
    seen = SeenAssemblies(tmp_path / "cache")
    (tmp_path / "environment").mkdir()
    seen.keep("key", assembly, [tmp_path / "environment"])
    (tmp_path / "environment").rmdir()
    assert seen.take("key", tmp_path / "out") is None


def test_one_with_a_second_name_for_a_file_is_not_kept_since_a_copy_would_hide_it(tmp_path, assembly):
    seen = SeenAssemblies(tmp_path / "cache")
    os.link(assembly / "manifest.json", tmp_path / "outside")
    seen.keep("key", assembly, [])
    assert seen.take("key", tmp_path / "out") is None


def test_the_one_that_was_used_longest_ago_goes_first(tmp_path, assembly, monkeypatch):
    monkeypatch.setattr(seen_module, "ENTRIES_LIMIT", 2)
    seen = SeenAssemblies(tmp_path / "cache")
    for number, key in enumerate("ab"):
        seen.keep(key, assembly, [])
        os.utime(tmp_path / "cache" / key, (number, number))
    assert seen.take("a", tmp_path / "out") == []
    seen.keep("c", assembly, [])
    assert sorted(os.listdir(tmp_path / "cache")) == ["a", "c"]


def test_together_they_stay_below_a_size(tmp_path, assembly, monkeypatch):
    monkeypatch.setattr(seen_module, "TOTAL_LIMIT", 15)
    seen = SeenAssemblies(tmp_path / "cache")
    for key in "ab":
        seen.keep(key, assembly, [])
    assert os.listdir(tmp_path / "cache") == ["b"]


def test_a_tree_looks_as_it_was_until_something_in_it_is_written(root: Path, tmp_path: Path):
    assert not as_it_was(root, tmp_path / "trees")
    read_sources(root, tmp_path / "trees")
    assert as_it_was(root, tmp_path / "trees")
    (root / "app" / "stack.py").write_text("size = 2\n")
    assert not as_it_was(root, tmp_path / "trees")
