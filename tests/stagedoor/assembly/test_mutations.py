"""A real assembly with something changed in it, as a hostile program would: it is an assembly or a `UserError`."""

import copy
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.assembly.rules import PREVIEW_RULES
from stagedoor.errors import UserError
from stagedoor.synth.context.query import queries_of
from tests.stagedoor.assembly.conftest import TARGET, identity, synthesised

APP = Path(__file__).with_name("synthesizers_app.py")
SECONDS = 5.0
"""Of processor time, for one assembly of ten stacks; it takes a fiftieth of it."""

VALUES = st.sampled_from(
    [
        *(None, True, 0, -1, 2**70, 1.5, [], [[]], {}, {"": {}}, ["x"] * 1_000, "x" * 100_000),
        *("", "/", "..", "../..", "/etc/passwd", "a/../../b", "\0", "\ud800", "manifest.json", "aws://1/2", "zip"),
        *("${AWS::Region}", "AWS::IAM::User", "AWS::CloudFormation::Stack", "cdk:cloud-assembly", "aws:cdk:asset"),
        *({"Ref": "X"}, {"Fn::Sub": "${A}"}, {"Fn::If": [1]}, {"Fn::Transform": {"Name": "X"}}),
        {"Type": "AWS::CloudFormation::Stack"},
    ]
)
FILES = ["nothing", "a link", "a link outside", "a pipe", "a folder", "half", "garbage", "empty", "a hard link"]


@pytest.fixture(scope="module")
def original() -> Path:
    return synthesised(APP)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where in a document something stands."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield (*above, name)
        yield from places(inner, (*above, name))


def change(document: Any, place: tuple[Any, ...], how: str, value: Any) -> None:
    for name in place[:-1]:
        document = document[name]
    last = place[-1]
    match how:
        case "drop":
            del document[last]
        case "rename" if isinstance(document, dict):
            document[str(value)] = document.pop(last)
        case "wrap":
            document[last] = [document[last]]
        case _:
            document[last] = copy.deepcopy(value)  # or the next change would change what is put elsewhere, too


def spoil(file: Path, how: str, outside: Path) -> None:
    data = file.read_bytes() if file.is_file() else b"x"
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    match how:
        case "a link":
            file.symlink_to("manifest.json")
        case "a link outside":
            file.symlink_to(outside)
        case "a hard link":
            os.link(outside, file)
        case "a pipe":
            os.mkfifo(file)
        case "a folder":
            file.mkdir()
        case "half":
            file.write_bytes(data[: len(data) // 2])
        case "garbage":
            file.write_bytes(b"\xff\xfe{" + data)
        case "empty":
            file.write_bytes(b"")


def take(directory: Path) -> Assembly | None:
    """Do what a run does with an assembly that it was given; None where it is refused."""
    began = time.process_time()
    try:
        assembly = read_assembly(directory)
        queries_of(assembly.missing_context)
        inspect_assembly(replace(assembly, missing_context=()), TARGET, rules=PREVIEW_RULES)
        rewrite_assembly(assembly, identity("prod", disposable=False), TARGET, directory.parent / "out")
    except UserError as error:
        str(error).encode()  # what is shown and stored must be text
        assembly = None
    assert time.process_time() - began < SECONDS
    return assembly


def check(assembly: Assembly | None, directory: Path) -> None:
    for stack in assembly.stacks if assembly else ():
        for path in (stack.template_path, *(asset.source for asset in stack.assets)):
            assert path.resolve().is_relative_to(directory.resolve())


def without_denied(directory: Path) -> None:
    """Take out what the rules refuse anyway, so that what is changed is all that can be wrong."""
    manifest = json.loads((directory / "manifest.json").read_text())
    del manifest["artifacts"]["Serverless"]
    (directory / "manifest.json").write_text(json.dumps(manifest))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_document_with_something_changed(original: Path, data: st.DataObject) -> None:
    with TemporaryDirectory() as temporary:
        directory = Path(temporary).resolve() / "cdk.out"
        shutil.copytree(original, directory, symlinks=True)
        without_denied(directory)
        files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*.json"))
        file = directory / data.draw(st.sampled_from(["manifest.json", *files]))
        document = json.loads(file.read_text())
        for _ in range(data.draw(st.integers(1, 3))):
            found = list(places(document))
            place = data.draw(st.integers(0, len(found) - 1).map(found.__getitem__)) if found else ()
            if place:
                how = data.draw(st.sampled_from(["put", "put", "drop", "rename", "wrap"]))
                change(document, place, how, data.draw(VALUES))
        file.write_text(json.dumps(document))
        check(take(directory), directory)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_that_is_something_else(original: Path, data: st.DataObject) -> None:
    with TemporaryDirectory() as temporary:
        directory = Path(temporary).resolve() / "cdk.out"
        shutil.copytree(original, directory, symlinks=True)
        without_denied(directory)
        outside = directory.parent / "outside"
        outside.write_text("{}")
        files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))
        spoil(directory / data.draw(st.sampled_from(files)), data.draw(st.sampled_from(FILES)), outside)
        check(take(directory), directory)


def test_unchanged_it_is_taken(original: Path, tmp_path: Path) -> None:
    """Or the other tests would hold for want of anything that passes."""
    shutil.copytree(original, tmp_path / "cdk.out", symlinks=True)
    without_denied(tmp_path / "cdk.out")
    assembly = take(tmp_path / "cdk.out")
    assert assembly is not None
    assert len(assembly.stacks) == 8
