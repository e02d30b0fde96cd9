"""An assembly goes into one zip and comes out as it was; the same files make the same bytes."""

import os
import time
from pathlib import Path

import pytest

from stagedoor.assembly.inspection import InspectionLimits
from stagedoor.assembly.packing import UnsafeAssemblyArchive, contents_of, pack, unpack


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "cdk.out"
    (directory / "asset.a" / "bin").mkdir(parents=True)
    (directory / "asset.a" / "empty").mkdir()
    (directory / "manifest.json").write_text("{}")
    (directory / "asset.a" / "bin" / "run").write_text("#!/bin/sh\n")
    (directory / "asset.a" / "bin" / "run").chmod(0o755)
    (directory / "asset.a" / "link").symlink_to("bin/run")
    (directory / "asset.a" / "folder").symlink_to("bin")
    (directory / "asset.a" / "ünïcode name").write_bytes(bytes(range(256)) * 100)
    return directory


def test_it_comes_out_as_it_was(directory: Path, tmp_path: Path) -> None:
    pack(directory, tmp_path / "one.zip")
    unpack(tmp_path / "one.zip", tmp_path / "out")
    out = tmp_path / "out"
    assert contents_of(out) == contents_of(directory)
    assert os.readlink(out / "asset.a" / "link") == "bin/run"
    assert os.access(out / "asset.a" / "bin" / "run", os.X_OK)
    assert not os.access(out / "manifest.json", os.X_OK)
    assert (out / "asset.a" / "empty").is_dir()
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    assert contents_of(directory).size == sum(path.stat().st_size for path in files)


def test_the_same_files_make_the_same_bytes_whenever_they_were_written(directory: Path, tmp_path: Path) -> None:
    pack(directory, tmp_path / "one.zip")
    before = contents_of(directory)
    os.utime(directory / "manifest.json", (time.time() + 9999, time.time() + 9999))
    (directory / "manifest.json").chmod(0o600)
    pack(directory, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert contents_of(directory) == before
    (directory / "manifest.json").chmod(0o700)
    assert contents_of(directory).digest != before.digest, "whether a file may be run is a part of it"


def test_limits_hold_for_what_comes_out(directory: Path, tmp_path: Path) -> None:
    pack(directory, tmp_path / "one.zip")
    for limits in (InspectionLimits(files=3), InspectionLimits(total_bytes=1000)):
        with pytest.raises(UnsafeAssemblyArchive, match="the limit is"):
            unpack(tmp_path / "one.zip", tmp_path / "out", limits)
        assert not (tmp_path / "out").exists()
