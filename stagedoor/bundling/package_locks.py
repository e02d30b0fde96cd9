"""What of a `package-lock.json` is installed beside a bundle: packages, what they depend on, each in its version.

Source: https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json, versions 2 and 3, whose `packages` are by
their place below the lock's folder.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stagedoor.bundling.errors import UnsupportedDependencies

LOCK = "package-lock.json"
FOLDER = "node_modules/"
_CPUS = {"x86_64": "x64", "arm64": "arm64"}
_EDGES = ("dependencies", "optionalDependencies", "peerDependencies")

Packages = Mapping[str, Mapping[str, Any]]


def locked_packages(file: Path, names: Iterable[str], architecture: str) -> tuple[str, ...]:
    """Return `place version integrity` of each package and all that it needs on Lambda, as a lock has them.

    Raises `UnsupportedDependencies` for what is in no registry, `KeyError` and `ValueError` for one that is not there
    or cannot be read.
    """
    packages: Packages = json.loads(file.read_text(encoding="utf-8"))["packages"]
    found: dict[str, str] = {}
    open_ones = [FOLDER + name for name in names]
    while open_ones:
        place = open_ones.pop()
        package = packages[place]
        if place in found or not _fits(package, architecture):
            continue
        version, integrity = package.get("version"), package.get("integrity")
        if package.get("link") or "name" in package or not isinstance(version, str) or not isinstance(integrity, str):
            raise UnsupportedDependencies(
                f"{place.removeprefix(FOLDER)}, which is to be installed beside a function, is in no registry by "
                f"{LOCK}.",
                "Bundle it (leave it out of `install`), or depend on a version that a registry has.",
            )
        found[place] = f"{place} {version} {integrity}"
        open_ones += _needed(packages, place)
    return tuple(found[place] for place in sorted(found))


def lock_of(locked: Sequence[str]) -> tuple[str, str]:
    """Return the texts of a `package.json` and a `package-lock.json` that have these packages and no others.

    Each depends on those that are inside of it, and the project on all others, so that npm takes none for superfluous.
    """
    packages: dict[str, dict[str, Any]] = {"": {}}
    for line in locked:
        place, version, integrity = line.split(" ")
        packages[place] = {"version": version, "integrity": integrity}
    for place in list(packages)[1:]:
        above, _, name = place.rpartition(FOLDER)
        edges = packages[above.removesuffix("/")].setdefault("dependencies", {})
        edges[name] = packages[place]["version"]
    text = {"name": "beside", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    return json.dumps(packages[""]), json.dumps(text)


def _needed(packages: Packages, place: str) -> Iterator[str]:
    """Yield where npm has put what a package depends on: inside of it, or of one that it is in, or beside."""
    for kind in _EDGES:
        for name in packages[place].get(kind, ()):
            above = f"{place}/"
            while f"{above}{FOLDER}{name}" not in packages and above:
                above = above.removesuffix("/").rpartition(FOLDER)[0]
            if f"{above}{FOLDER}{name}" in packages:
                yield f"{above}{FOLDER}{name}"
            elif kind == "dependencies":
                raise KeyError(name)


def _fits(package: Mapping[str, Any], architecture: str) -> bool:
    machine = {"os": "linux", "cpu": _CPUS[architecture], "libc": "glibc"}
    return all(_among(ours, package.get(kind, ())) for kind, ours in machine.items())


def _among(ours: str, said: Sequence[str]) -> bool:
    wanted = [one for one in said if not one.startswith("!")]
    return f"!{ours}" not in said and (not wanted or ours in wanted)
