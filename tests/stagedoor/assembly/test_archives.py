"""Archives that must not be unpacked, told from their directory alone."""

import struct
import zipfile
from pathlib import Path

import pytest

from stagedoor.assembly.archives import DIRECTORY_BYTES, ENTRIES, UnsafeArchive, check_archive
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.reader import read_assembly
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset

CENTRAL = struct.Struct("<4s6H3I5H2I")
"""The fields of one entry of a central directory, its name left out (APPNOTE.TXT, 4.3.12)."""


def claiming(path: Path, *sizes: int) -> None:
    """Write an archive that says of each entry that it would be as large, and holds nothing of it."""
    names = [f"zeros-{number}".encode() for number in range(len(sizes))]
    entries = [
        CENTRAL.pack(b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, 100, size, len(name), 0, 0, 0, 0, 0, 0) + name
        for name, size in zip(names, sizes, strict=True)
    ]
    directory = b"".join(entries)
    count = len(sizes) % 2**16  # nobody holds an archive to what it says here
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), 0, 0)
    path.write_bytes(directory + end)


def holding(path: Path, name: str, mode: int = 0o100644) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, "x")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "code.zip"


@pytest.mark.parametrize("sizes", [(300_000_000,), (200_000_000, 200_000_000)])
def test_an_archive_that_would_burst(archive: Path, sizes: tuple[int, ...]) -> None:
    claiming(archive, *sizes)
    with pytest.raises(UnsafeArchive, match=f"would become {sum(sizes)}"):
        check_archive(archive, "code")


def test_what_lambda_takes_is_no_bomb(archive: Path) -> None:
    claiming(archive, 262_144_000)
    check_archive(archive, "code")


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "..\\up", "\\\\host\\share"])
def test_a_name_that_leads_out(archive: Path, name: str) -> None:
    holding(archive, name)
    with pytest.raises(UnsafeArchive, match="would write"):
        check_archive(archive, "code")


@pytest.mark.parametrize("name", ["index.py", "a/b/c.txt", "..hidden", "a..b/c", "a:b"])
def test_a_name_that_stays_within(archive: Path, name: str) -> None:
    holding(archive, name)
    check_archive(archive, "code")


@pytest.mark.parametrize("mode", [0o10644, 0o20644, 0o60644, 0o140644], ids=["pipe", "character", "block", "socket"])
def test_what_is_no_file(archive: Path, mode: int) -> None:
    holding(archive, "odd", mode)
    with pytest.raises(UnsafeArchive, match="neither a file nor a directory"):
        check_archive(archive, "code")


def test_more_files_than_anybody_needs(archive: Path) -> None:
    claiming(archive, *[0] * (ENTRIES + 1))
    with pytest.raises(UnsafeArchive, match="50001 files"):
        check_archive(archive, "code")


def test_an_archive_whose_directory_would_fill_our_memory(archive: Path) -> None:
    size = DIRECTORY_BYTES + 1
    with archive.open("wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(UnsafeArchive, match="a directory of more than"):
        check_archive(archive, "code")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\5\6" + b"\xff" * 18, b"not an archive"])
def test_an_archive_that_is_none(archive: Path, data: bytes) -> None:
    archive.write_bytes(data)
    with pytest.raises(UnsafeArchive, match="cannot be read"):
        check_archive(archive, "code")


def test_an_archive_with_a_comment(archive: Path) -> None:
    with zipfile.ZipFile(archive, "w") as written:
        written.writestr("index.py", "x")
        written.comment = b"c" * 60_000
    check_archive(archive, "code")


def test_only_what_is_called_an_archive_is_looked_into(write: Write) -> None:
    directory = write(files={"abc": file_asset("data.bin", key="abc.bin", packaging="file")})
    (directory / "data.bin").write_bytes(b"PK\5\6 anything")
    inspect_assembly(read_assembly(directory), TARGET)


def test_an_archive_among_the_assets(write: Write) -> None:
    directory = write(files={"abc": file_asset("code.zip", packaging="file")})
    holding(directory / "code.zip", "../up")
    with pytest.raises(UnsafeArchive, match=r"code\.zip"):
        inspect_assembly(read_assembly(directory), TARGET)
