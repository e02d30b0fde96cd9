"""Locks of Poetry and Pipenv as pinned, hashed requirements: neither tool is needed to install what they locked.

Sources: `poetry.lock` is written by `poetry/packages/locker.py` (https://github.com/python-poetry/poetry), whose
export plugin makes requirements of it; `Pipfile.lock` is described at
https://pipenv.pypa.io/en/latest/pipfile.html.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
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
    return name.startswith("aws-cdk") or name in {normal(each) for each in left_out}


def poetry_requirements(lock: str, project: str, left_out: Iterable[str] = ()) -> str:
    """Return what the main dependencies of a project of Poetry need, without what only `left_out` need.

    `lock` is the text of `poetry.lock`, `project` that of `pyproject.toml`.
    """
    packages: dict[str, list[dict[str, Any]]] = {}
    for package in _toml("poetry.lock", lock).get("package", []):
        packages.setdefault(normal(package["name"]), []).append(package)
    ways = _ways(packages, _poetry_roots(_toml("pyproject.toml", project)), tuple(left_out))
    lines = [_pinned(package, ways[name]) for name in sorted(ways) for package in packages[name]]
    return "".join(f"{line}\n" for line in lines)


def pipenv_requirements(lock: str, left_out: Iterable[str] = ()) -> str:
    """Return what `Pipfile.lock` has installed by default. What is left out stays in as long as others may need it."""
    try:
        packages = json.loads(lock)["default"]
    except (ValueError, KeyError, TypeError):
        raise UnsupportedDependencies("Pipfile.lock cannot be read.", "Write it again: pipenv lock.") from None
    out = tuple(left_out)
    lines = []
    for name, package in sorted(packages.items()):
        if is_left_out(name, out):
            continue
        if "version" not in package:
            raise _elsewhere("Pipfile.lock", name)
        extras = f"[{','.join(package['extras'])}]" if package.get("extras") else ""
        marker = f" ; {package['markers']}" if package.get("markers") else ""
        lines.append(f"{name}{extras}{package['version']}{marker}{_hashes(package.get('hashes', []))}\n")
    return "".join(lines)


def _poetry_roots(project: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the names of a project's main dependencies, and what is said of each."""
    roots: list[tuple[str, Any]] = []
    for text in project.get("project", {}).get("dependencies", []):
        if match := re.match(r"[A-Za-z0-9._-]+", text):
            extras = re.match(r"[^;]*?\[([^\]]*)\]", text)
            marker = text.partition(";")[2].strip()
            roots.append((match[0], {"markers": marker, "extras": extras[1].split(",") if extras else []}))
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    return roots + [(name, said) for name, said in poetry.items() if normal(name) != "python"]


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


def _pinned(package: Mapping[str, Any], ways: _Markers) -> str:
    source = package.get("source", {})
    if source.get("type") not in (None, "legacy"):
        raise _elsewhere("poetry.lock", package["name"])
    conditions = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    texts = [] if "" in conditions else [" or ".join(f"({each})" for each in conditions)]
    own = package.get("markers")  # of lock version 2.1: where Poetry itself would install it
    own = own.get("main") if isinstance(own, dict) else own
    texts = [f"({own})"] if own else [f"({text})" for text in texts]
    marker = f" ; {' and '.join(texts)}" if texts else ""
    return f"{package['name']}=={package['version']}{marker}{_hashes(f['hash'] for f in package.get('files', []))}"


def _hashes(hashes: Iterable[str]) -> str:
    return "".join(f" --hash={each}" for each in sorted(set(hashes)))


def _toml(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise UnsupportedDependencies(f"{name} is not valid TOML: {problem}.", "Correct it.") from None


def _elsewhere(lock: str, name: str) -> UnsupportedDependencies:
    return UnsupportedDependencies(
        f"{lock} has {name} from a folder, a file or a repository, which cannot be installed yet.",
        "Take it from a registry, or lock the project with uv, whose local packages can be used.",
    )
