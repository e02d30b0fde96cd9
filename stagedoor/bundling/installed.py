"""What an installation left behind: made the same everywhere, held against what Lambda can load, and told its size."""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from stagedoor.bundling.errors import BundleTooLarge, WrongArchitecture
from stagedoor.bundling.wanted import PythonWanted

LIMIT = 250 * 1024**2
"""Bytes of a function's code with its layers: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html."""

_LARGEST = 5
_ELF_MACHINES = {62: "x86_64", 183: "arm64"}
"""Source: e_machine in elf(5)."""
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe")
"""How libraries of macOS begin, which an installation from source leaves on one."""
_LIBRARY = re.compile(r"\.so(\.\d+)*$")
_EXTENSION = re.compile(r"\.cpython-(\d)(\d+)[a-z]*-")
_TRACES = frozenset({"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
"""Files of a `dist-info` that tell how and from where it was installed."""


def tidied(packages: Path) -> None:
    """Take away what differs between installations, and what no function needs: launchers, traces, links."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    for name in (".lock", ".gitignore", "CACHEDIR.TAG"):
        (packages / name).unlink(missing_ok=True)
    for file in list(_files(packages, everything=True)):
        status = file.lstat()
        if not stat.S_ISREG(status.st_mode) or (file.parent.suffix == ".dist-info" and file.name in _TRACES):
            file.unlink()
    for record in packages.glob("*.dist-info/RECORD"):
        kept = [line for line in record.read_text().splitlines() if (packages / line.split(",")[0]).is_file()]
        record.unlink()
        record.write_text("".join(f"{line}\n" for line in sorted(kept)))


def check_installed(packages: Path, wanted: PythonWanted) -> int:
    """Return the size of packages in bytes. Raises `WrongArchitecture` and `BundleTooLarge`."""
    for file in _files(packages):
        if _LIBRARY.search(file.name):
            _check_library(file, packages, wanted)
    size = sum(file.stat().st_size for file in _files(packages))
    check_size(packages, size, wanted.source)
    return size


def check_size(folder: Path, size: int, source: str) -> None:
    """Raise `BundleTooLarge`, with what is largest in a folder, when there are more bytes than Lambda takes."""
    if size <= LIMIT:
        return
    sizes = sorted(((_size(entry), entry.name) for entry in folder.iterdir()), reverse=True)[:_LARGEST]
    largest = ", ".join(f"{name} ({each / 1024**2:.0f} MB)" for each, name in sizes)
    raise BundleTooLarge(
        f"The bundle of {source or 'a function'} has {size / 1024**2:.0f} MB; Lambda allows 250. Largest: {largest}.",
        "Leave out what the function does not need, or make it of a container: image='folder'.",
    )


def _size(entry: Path) -> int:
    return sum(file.stat().st_size for file in _files(entry)) if entry.is_dir() else entry.stat().st_size


def _check_library(file: Path, packages: Path, wanted: PythonWanted) -> None:
    with file.open("rb") as reading:
        head = reading.read(20)
    package = file.relative_to(packages).parts[0].split(".")[0]
    machine = _ELF_MACHINES.get(int.from_bytes(head[18:20], "little"))
    if head[:4] in _MACH_O or (head[:4] == b"\x7fELF" and machine != wanted.architecture):
        raise WrongArchitecture(
            f"{package} has a native library ({file.name}) that Lambda cannot load on {wanted.architecture}.",
            f"Take a version of {package} that has a wheel for Linux on {wanted.architecture}: it was built here, "
            "where there is none. Or set the function's architecture to this machine's.",
        )
    match = _EXTENSION.search(file.name)
    if match and f"{match[1]}.{match[2]}" != wanted.python:
        raise WrongArchitecture(
            f"{package} has a native library ({file.name}) for Python {match[1]}.{match[2]}, not {wanted.python}.",
            f"Take a version of {package} that has a wheel for Python {wanted.python}, or change the function's.",
        )


def _files(folder: Path, *, everything: bool = False) -> Iterator[Path]:
    """Yield the files below a folder, links and other things among them where `everything` is asked for."""
    for place, folders, files in os.walk(folder):
        linked = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in (*files, *linked):
            file = Path(place, name)
            if everything or not file.is_symlink():
                yield file
