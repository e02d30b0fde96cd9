import json
import os
import socket
from pathlib import Path

import pytest

from stagedoor.assembly.annotations import AppErrors
from stagedoor.assembly.inspection import (
    AssemblyTooLarge,
    EmptyAssembly,
    ForeignEnvironment,
    InspectionLimits,
    LinkOutside,
    MissingContext,
    SpecialFile,
    inspect_assembly,
)
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, without


def with_asset(write: Write) -> Path:
    directory = write(files={"abc": file_asset("asset.abc")})
    (directory / "asset.abc").mkdir()
    (directory / "asset.abc" / "index.py").write_text("")
    return directory


def test_a_real_app_passes(app: Assembly) -> None:
    inspect_assembly(without(app, "Far", "Visitor"), TARGET)


def test_a_stack_in_another_region(app: Assembly) -> None:
    with pytest.raises(ForeignEnvironment, match="'Far' is to live in '123456789012', 'eu-west-1'"):
        inspect_assembly(without(app, "Visitor"), TARGET)


def test_a_stack_in_another_account(write: Write) -> None:
    with pytest.raises(ForeignEnvironment, match="999999999999"):
        inspect_assembly(read_assembly(write(environment="aws://999999999999/us-east-1")), TARGET)


@pytest.mark.parametrize("arn", ["arn:aws:sns:us-east-1:999999999999:t", "arn:aws:sns:eu-west-1:123456789012:t", "t"])
def test_a_stack_that_would_tell_others(write: Write, arn: str) -> None:
    with pytest.raises(ForeignEnvironment, match="is to tell"):
        inspect_assembly(read_assembly(write(properties={"notificationArns": [arn]})), TARGET)


def test_an_app_that_reports_errors(write: Write) -> None:
    directory = write()
    manifest = json.loads((directory / "manifest.json").read_text())
    said = [{"type": "aws:cdk:error", "data": text} for text in ("first", "second")]
    manifest["artifacts"]["Only"]["metadata"] = {"/Only/Thing": said}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(AppErrors, match=r"at 'Only/Thing': first \(and 1 more errors\)"):
        inspect_assembly(read_assembly(directory), TARGET)


def test_missing_context_is_named(write: Write) -> None:
    with pytest.raises(MissingContext, match="vpc-provider:account=1"):
        inspect_assembly(read_assembly(write(missing=[{"key": "vpc-provider:account=1"}])), TARGET)


def test_an_app_without_stacks(write: Write) -> None:
    with pytest.raises(EmptyAssembly):
        inspect_assembly(read_assembly(write({})), TARGET)


def test_links_within_an_asset_pass(write: Write) -> None:
    directory = with_asset(write)
    (directory / "asset.abc" / "link.py").symlink_to("index.py")
    inspect_assembly(read_assembly(directory), TARGET)


@pytest.mark.parametrize("place", ["asset.abc/link", "link"])
@pytest.mark.parametrize("target", ["/etc/hostname", "../../outside", "../manifest.json", "nobody/../../../x"])
def test_links_that_lead_out_of_the_asset(write: Write, place: str, target: str) -> None:
    directory = with_asset(write)
    (directory / place).symlink_to(target)
    with pytest.raises(LinkOutside, match="link"):
        inspect_assembly(read_assembly(directory), TARGET)


LINKS_WITHOUT_AN_END = {
    "itself": {"a": "a"},
    "ring": {"a": "b", "b": "a"},
    "chain": {f"link-{number}": f"link-{number + 1}" for number in range(2_000)},
    "long": {"a": "n" * 300},
}


@pytest.mark.parametrize("links", LINKS_WITHOUT_AN_END.values(), ids=LINKS_WITHOUT_AN_END)
def test_links_without_an_end(write: Write, links: dict[str, str]) -> None:
    directory = with_asset(write)
    for name, target in links.items():
        (directory / "asset.abc" / name).symlink_to(target)
    with pytest.raises(LinkOutside):
        inspect_assembly(read_assembly(directory), TARGET)


def test_a_file_that_has_a_name_outside(write: Write, tmp_path: Path) -> None:
    directory = with_asset(write)
    (tmp_path / "secret").write_text("")
    os.link(tmp_path / "secret", directory / "asset.abc" / "secret")
    with pytest.raises(LinkOutside, match="secret"):
        inspect_assembly(read_assembly(directory), TARGET)


def test_a_file_that_has_two_names_inside_passes(write: Write) -> None:
    directory = with_asset(write)
    os.link(directory / "asset.abc" / "index.py", directory / "asset.abc" / "again.py")
    inspect_assembly(read_assembly(directory), TARGET)


def test_pipes_and_sockets(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = with_asset(write)
    os.mkfifo(directory / "asset.abc" / "pipe")
    with pytest.raises(SpecialFile, match="pipe"):
        inspect_assembly(read_assembly(directory), TARGET)
    (directory / "asset.abc" / "pipe").unlink()
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(SpecialFile, match="socket"):
            inspect_assembly(read_assembly(directory), TARGET)


LIMITS = [
    InspectionLimits(stacks=0),
    InspectionLimits(assets=0),
    InspectionLimits(files=3),
    InspectionLimits(file_bytes=99),
    InspectionLimits(total_bytes=150),
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_each_limit(write: Write, limits: InspectionLimits) -> None:
    directory = with_asset(write)
    (directory / "asset.abc" / "index.py").write_text("#" * 100)
    assembly = read_assembly(directory)
    inspect_assembly(assembly, TARGET)
    with pytest.raises(AssemblyTooLarge):
        inspect_assembly(assembly, TARGET, limits)
