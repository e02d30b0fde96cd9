"""Locks of Poetry and Pipenv as pinned, hashed requirements: neither tool is needed to install what they locked.

Sources: `poetry.lock` is written by `poetry/packages/locker.py` (https://github.com/python-poetry/poetry), whose
export plugin makes requirements of it; `Pipfile.lock` is described at
https://pipenv.pypa.io/en/latest/pipfile.html.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stagedoor.bundling.errors import UnsupportedDependencies

_Markers = set[frozenset[str]]
"""Ways that lead to a package: it is needed where all conditions of one of them hold."""

_WAYS = 16
"""Ways that are told apart; a package that more lead to is installed in any case."""


def normal(name: str) -> str:
    """Return a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def is_left_out(requirement: str, left_out: Iterable[str]) -> bool:
    """Whether a line names one of these packages, or one of the CDK's own, which all begin with `aws-cdk`."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    name = normal(match[0]) if match else ""
    out = {normal(each) for each in left_out}
    return name in out or (name.startswith("aws-cdk") and "aws-cdk-lib" in out)


@dataclass(slots=True)
class Locked:
    """What a lock has installed: the text of a requirements file, and paths of local packages as the lock has them."""

    text: str = ""
    local: list[str] = field(default_factory=list)


def poetry_locked(lock: str, project: str, left_out: Iterable[str] = (), *, groups: bool = False) -> Locked:
    """Return what the main dependencies of a project of Poetry need, without what only `left_out` need.

    `lock` is the text of `poetry.lock`, `project` that of `pyproject.toml`; `groups`: those of its groups, too, but for
    optional ones. Raises `UnsupportedDependencies`.
    """
    try:
        packages: dict[str, list[dict[str, Any]]] = {}
        for package in tomllib.loads(lock).get("package", []):
            packages.setdefault(normal(package["name"]), []).append(package)
        ways = _ways(packages, _poetry_roots(tomllib.loads(project), groups), tuple(left_out))
        locked = Locked()
        for name in sorted(ways):
            for package in packages[name]:
                _add_poetry(package, ways[name], locked)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnsupportedDependencies("poetry.lock cannot be read.", "Write it again: poetry lock.") from None
    return locked


def pipenv_locked(lock: str, left_out: Iterable[str] = ()) -> Locked:
    """Return what `Pipfile.lock` has installed by default; it does not say who needs what, so little can be left out.

    Raises `UnsupportedDependencies`.
    """
    locked, out = Locked(), tuple(left_out)
    try:
        for name, package in sorted(json.loads(lock)["default"].items()):
            if is_left_out(name, out):
                continue
            if path := package.get("path") or package.get("file"):
                locked.local.append(path)
                continue
            if "version" not in package:
                raise _elsewhere("Pipfile.lock", name)
            extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
            marker = f" ; {package['markers']}" if package.get("markers") else ""
            hashes = _hashes(package.get("hashes", []))
            locked.text += f"{name}{extras}{package['version']}{marker}{hashes}\n"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnsupportedDependencies("Pipfile.lock cannot be read.", "Write it again: pipenv lock.") from None
    return locked


def _poetry_roots(project: Mapping[str, Any], groups: bool) -> list[tuple[str, Any]]:
    """Return the names of a project's dependencies, and what is said of each."""
    roots: list[tuple[str, Any]] = []
    texts = list(project.get("project", {}).get("dependencies", []))
    poetry = project.get("tool", {}).get("poetry", {})
    tables = [poetry.get("dependencies", {})]
    if groups:
        texts += [text for group in project.get("dependency-groups", {}).values() for text in group]
        tables += [poetry.get("dev-dependencies", {})]
        tables += [
            group.get("dependencies", {}) for group in poetry.get("group", {}).values() if not group.get("optional")
        ]
    for text in filter(_is_text, texts):
        if match := re.match(r"[A-Za-z0-9._-]+", text):
            extras = re.match(r"[^;]*?\[([^\]]*)\]", text)
            marker = text.partition(";")[2].strip()
            roots.append((match[0], {"markers": marker, "extras": extras[1].split(",") if extras else []}))
    return roots + [(name, said) for table in tables for name, said in table.items() if normal(name) != "python"]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _ways(
    packages: Mapping[str, list[dict[str, Any]]], roots: list[tuple[str, Any]], out: tuple[str, ...]
) -> dict[str, _Markers]:
    """Return each package that is needed, with the ways that lead to it."""
    found: dict[str, _Markers] = {}
    known = {normal(name) for name, _ in roots}
    waiting: list[tuple[str, Any, frozenset[str]]] = [(normal(name), said, frozenset()) for name, said in roots]
    while waiting:
        name, said, above = waiting.pop()
        for each in said if isinstance(said, list) else [said]:
            way = above | {marker for marker in [_marker(each)] if marker}
            if is_left_out(name, out) or name not in packages or any(other <= way for other in found.get(name, ())):
                continue
            optional = isinstance(each, dict) and each.get("optional") and name not in known
            if optional:
                continue
            ways = {other for other in found.get(name, set()) if not way <= other} | {way}
            found[name] = ways if len(ways) <= _WAYS else {frozenset()}
            extras = each.get("extras", []) if isinstance(each, dict) else []
            for package in packages[name]:
                waiting += [(normal(dep), more, way) for dep, more in package.get("dependencies", {}).items()]
                waiting += [(normal(dep), "", way) for dep in _of_extras(package, extras)]
    return found


def _of_extras(package: Mapping[str, Any], extras: Iterable[str]) -> list[str]:
    texts = [text for extra in extras for text in package.get("extras", {}).get(extra.strip(), [])]
    return [match[0] for text in texts if (match := re.match(r"[A-Za-z0-9._-]+", text))]


def _marker(said: Any) -> str:
    """Return the condition that a dependency is written down with; one on an extra is not one on where it runs."""
    marker = said.get("markers", "") if isinstance(said, dict) else ""
    return "" if "extra ==" in marker else str(marker)


def _add_poetry(package: Mapping[str, Any], ways: _Markers, locked: Locked) -> None:
    source = package.get("source", {})
    if source.get("type") in ("directory", "file"):
        locked.local.append(source["url"])
        return
    if source.get("type") not in (None, "legacy"):
        raise _elsewhere("poetry.lock", package["name"])
    conditions = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    texts = [] if "" in conditions else [" or ".join(f"({each})" for each in conditions)]
    own = package.get("markers")  # of lock version 2.1: where Poetry itself would install it
    if isinstance(own, str):
        texts = [own]
    marker = f" ; {texts[0]}" if texts else ""
    hashes = _hashes(file["hash"] for file in package.get("files", []))
    locked.text += f"{package['name']}=={package['version']}{marker}{hashes}\n"


def _hashes(hashes: Iterable[str]) -> str:
    return "".join(f" --hash={each}" for each in sorted(set(hashes)))


def _elsewhere(lock: str, name: str) -> UnsupportedDependencies:
    return UnsupportedDependencies(
        f"{lock} has {name} from a repository or an address, which cannot be installed yet.",
        "Take it from a registry, or put its code or its wheel into this repository and depend on the path.",
    )
