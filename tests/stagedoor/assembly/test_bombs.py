"""Small assemblies that would keep us busy for hours, or fill our memory, if nobody counted."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.documents import MalformedAssembly
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.loops import unrolled
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, identity

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
SECONDS = 10.0
"""Of processor time, on a machine as slow as they come; each of these takes less than one or two."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS


def nested(key: str, **parameters: Any) -> dict[str, Any]:
    url = {"Fn::Sub": f"https://s3.${{AWS::Region}}.${{AWS::URLSuffix}}/{BUCKET}/{key}"}
    return {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url, "Parameters": parameters}}


def asset(name: str) -> dict[str, Any]:
    return file_asset(name, key=name, packaging="file", bucket=BUCKET)


def take(directory: Path, output: Path) -> None:
    assembly = read_assembly(directory)
    inspect_assembly(assembly, TARGET)
    rewrite_assembly(assembly, identity("prod", disposable=False), TARGET, output)


def test_nested_stacks_that_pass_on_twice_what_they_got(write: Write, tmp_path: Path) -> None:
    def level(number: int) -> dict[str, Any]:
        inner = {"Inner": nested(f"{number + 1}.json", P={"Fn::Sub": "${P}${P}"})} if number < 100 else {}
        return {"Parameters": {"P": {"Type": "String", "Default": "ha"}}, "Resources": inner}

    directory = write({"Only": level(0)}, files={str(number): asset(f"{number}.json") for number in range(1, 101)})
    for number in range(1, 101):
        (directory / f"{number}.json").write_text(json.dumps(level(number)))
    take(directory, tmp_path / "out")


def test_a_long_chain_of_conditions(write: Write, tmp_path: Path) -> None:
    chain = {f"C{number}": {"Condition": f"C{number + 1}"} for number in range(5_000)}
    take(write({"Only": {"Conditions": {**chain, "C5000": {"Fn::Equals": ["a", "a"]}}}}), tmp_path / "out")


def test_conditions_that_double(write: Write, tmp_path: Path) -> None:
    doubled = {f"C{number}": {"Fn::And": [{"Condition": f"C{number + 1}"}] * 10} for number in range(1_000)}
    take(write({"Only": {"Conditions": doubled}}), tmp_path / "out")


LOOPS: dict[str, Any] = {
    "in each other": ["A", ["x"] * 100, {"Fn::ForEach::B": ["B", ["x"] * 100, {"${A}${B}": {"Type": "A::B::C"}}]}],
    "of a large body": ["A", ["x"] * 4_000, {"${A}": {"Type": "A::B::C", "Properties": {"X": ["y"] * 100_000}}}],
    "of nothing much": ["A", ["x"] * 4_000, {"${A}": {"Type": "A::B::C", "Properties": {"X": [[]] * 100_000}}}],
    "over a long item": ["A", ["x" * 400_000], {"${A}": {"Type": "A::B::C", "Properties": {"X": "${A}" * 50_000}}}],
    "by references": ["A", ["x" * 400_000], {"Q": {"Type": "A::B::C", "Properties": {"X": [{"Ref": "A"}] * 20_000}}}],
}


@pytest.mark.parametrize("how", LOOPS)
def test_a_loop_that_would_make_too_much_stays_a_loop(how: str) -> None:
    template = {"Resources": {"Fn::ForEach::A": LOOPS[how]}}
    assert unrolled(template) == template


def test_one_large_template_nested_many_times(write: Write, tmp_path: Path) -> None:
    inner = {f"Inner{number}": nested("large.json") for number in range(100)}
    directory = write({"Only": {"Resources": inner}}, files={"a": asset("large.json")})
    (directory / "large.json").write_text(json.dumps({"Metadata": "x" * 900_000}))
    with pytest.raises(MalformedAssembly, match="16 MB of them"):
        take(directory, tmp_path / "out")


def test_many_stacks_that_nest_one_large_template(write: Write, tmp_path: Path) -> None:
    inner = {f"Inner{number}": nested("large.json") for number in range(16)}
    stacks = {f"Stack{number}": {"Resources": inner} for number in range(10)}
    directory = write(stacks, files={"a": asset("large.json")})
    (directory / "large.json").write_text(json.dumps({"Metadata": "x" * 900_000}))
    with pytest.raises(MalformedAssembly, match="64 MB of templates"):
        take(directory, tmp_path / "out")
