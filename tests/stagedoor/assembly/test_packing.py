"""An assembly goes into one zip and comes out as it was; the same files make the same bytes."""

import os
import stat
import time
import zipfile
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


def written(archive: Path, *entries: tuple[str, int, str]) -> Path:
    """Write an archive of a name, a kind and a text each, with a valid assembly's name among them."""
    with zipfile.ZipFile(archive, "w") as packed:
        for name, kind, text in (("manifest.json", stat.S_IFREG, "{}"), *entries):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (kind | 0o644) << 16
            packed.writestr(entry, text)
    return archive


def links(count: int, text: str = "l{}") -> list[tuple[str, int, str]]:
    return [(f"l{number}", stat.S_IFLNK, text.format(number + 1)) for number in range(count)]


HOSTILE = {
    "a file's name": ([("a" * 256, stat.S_IFREG, "")], "no name of a file"),
    "a name's bytes": ([("é" * 128, stat.S_IFREG, "")], "no name of a file"),
    "a folder's name": ([("a" * 256 + "/", stat.S_IFDIR, "")], "no name of a file"),
    "a link's name": ([("a" * 256, stat.S_IFLNK, "b")], "no name of a file"),
    "a path": ([("/".join(["a" * 200] * 11), stat.S_IFREG, "")], "no name of a file"),
    "folders without end": ([("a/" * 1_000 + "b", stat.S_IFREG, "")], "no name of a file"),
    "what a link says": ([("l", stat.S_IFLNK, "b/" * 2_048)], "longer than any path"),
    "a name that a link says": ([("l", stat.S_IFLNK, "b" * 256)], "longer than any path"),
    "a link to itself": ([("l", stat.S_IFLNK, "l")], "leads to itself"),
    "links to each other": ([("l", stat.S_IFLNK, "m/b"), ("m", stat.S_IFLNK, "l/b")], "leads to itself"),
    "more links than are followed": (links(41), "leads to itself, or too far"),
    "a chain of links": (links(3_000), "leads to itself, or too far"),
    "a chain of links, the last first": (links(3_000)[::-1], "leads to itself, or too far"),
    "a chain through what is not there": (links(3_000, "no/../l{}"), "leads to itself, or too far"),
    "a link that leads out by another": (
        [("a/b/l", stat.S_IFLNK, "../.."), ("m", stat.S_IFLNK, "a/b/l/../..")],
        "leads out",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_file_system_can_have_is_refused_by_name(what: str, tmp_path: Path) -> None:
    entries, why = HOSTILE[what]
    with pytest.raises(UnsafeAssemblyArchive, match=why):
        unpack(written(tmp_path / "one.zip", *entries), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_this_file_system_cannot_have_is_refused_by_name(tmp_path: Path) -> None:
    deep = tmp_path / "/".join(["d" * 200] * 15)  # with the name, more than Linux takes of a path
    with pytest.raises(UnsafeAssemblyArchive, match="cannot be written: File name too long"):
        unpack(written(tmp_path / "one.zip", ("/".join(["a" * 200] * 10), stat.S_IFREG, "")), deep)


def test_as_many_links_as_are_followed(tmp_path: Path) -> None:
    unpack(written(tmp_path / "one.zip", ("l40", stat.S_IFREG, "x"), *links(40)), tmp_path / "out")
    assert (tmp_path / "out" / "l0").read_text() == "x"


def test_an_archive_whose_beginning_is_cut_off(tmp_path: Path) -> None:
    archive = written(tmp_path / "one.zip", ("a", stat.S_IFREG, "x" * 100))
    data = archive.read_bytes()
    begin = data.index(b"PK\1\2")
    archive.write_bytes(data[begin:])
    with pytest.raises(UnsafeAssemblyArchive, match="begins before the archive does"):
        unpack(archive, tmp_path / "out")
