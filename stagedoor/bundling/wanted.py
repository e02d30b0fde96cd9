"""What a bundle still lacks, as it stands in the bundle's file: written by the app's program, read as a stranger's."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath
from typing import Any

from stagedoor.bundling.errors import InvalidBundle

BUNDLE_FILE = ".stagedoor-bundle.json"
"""In an asset's folder: what is still to be put into it. Whoever completes the bundle takes it away."""

SIZE_LIMIT = 4 * 1024**2
"""Characters of a bundle's file: a thousand packages with fifty hashes each."""

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
NODES = ("node18", "node20", "node22", "node24")
ARCHITECTURES = ("x86_64", "arm64")
FORMATS = {"esm": "index.mjs", "cjs": "index.js"}
"""What esbuild may write, and the file that it is written to."""

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_VERSION = r"(?:===|==|~=|!=|<=|>=|<|>) ?[A-Za-z0-9.*+!_-]+"
_VERSIONS = rf"(?:{_VERSION}(?: ?, ?{_VERSION})*|\({_VERSION}(?: ?, ?{_VERSION})*\))"
_ARCHIVE = r"https://[^\s;'\"\\]+\.(?:whl|zip|tar\.gz)(?:#sha256=[0-9a-f]{64})?"
_REQUIREMENT = re.compile(
    rf"{_NAME}(?: ?\[[A-Za-z0-9,._ -]*\])?(?: ?@ ?{_ARCHIVE}| ?{_VERSIONS})?"
    r"(?: ?; ?[A-Za-z0-9_.'\"()<>=!~ ,*+-]+)?"
    r"(?: --hash=sha(?:256|384|512):[0-9a-f]+)*"
)
"""A line of requirements: a package of a registry, or an archive at an https address; no option, file or repository.
Source: https://packaging.python.org/en/latest/specifications/dependency-specifiers/"""

_INDEX = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~+%/-]*)?")

_PACKAGE = r"(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*"
_EXTERNAL = re.compile(rf"(?:{_PACKAGE}|@[a-z0-9._~-]+/\*)(?:/[A-Za-z0-9._*/-]+)?|node:[a-z/_]+")
_INSTALLED = re.compile(rf"{_PACKAGE}@[0-9A-Za-z.+-]+")
_LOCKED = re.compile(
    rf"node_modules/{_PACKAGE}(?:/node_modules/{_PACKAGE})* [0-9][0-9A-Za-z.+-]* (?:sha512|sha1)-[A-Za-z0-9+/=]+"
)


@dataclass(frozen=True, slots=True)
class PythonWanted:
    """Packages that a bundle lacks: for a version of Python (`3.12`) and an architecture (`x86_64`, `arm64`).

    `requirements` is the text of a requirements file. `locked`: it names all that is needed, and nothing is resolved.
    `left_out` are packages that do not come in, whoever depends on them. `indexes` are further registries.
    `source` is the handler's file, for people.
    """

    requirements: str
    python: str
    architecture: str
    locked: bool = True
    left_out: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    source: str = ""
    kind: str = "python"


@dataclass(frozen=True, slots=True)
class NodeWanted:
    """A file that esbuild is to bundle: `source`, from the repository's root, to what `FORMATS` says.

    `target` is esbuild's (`node22`). `locked` are packages that are installed beside the bundle, `place version
    integrity`, all that they need among them. `install`, `name@version`, is how older libraries say it, which left to
    npm what they depend on.
    """

    source: str
    target: str
    architecture: str
    format: str = "esm"
    minify: bool = False
    source_map: bool = True
    external: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    kind: str = "node"


Wanted = PythonWanted | NodeWanted


def written(wanted: Wanted) -> str:
    """Return the text of a bundle's file."""
    return json.dumps(asdict(wanted), sort_keys=True)


def read_wanted(text: str) -> Wanted:
    """Return what the text of a bundle's file asks for. Raises `InvalidBundle` unless all of it may be asked for."""
    try:
        told = json.loads(text) if len(text) <= SIZE_LIMIT else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise _refused("is no JSON of at most 4 MiB")
    kind: type[Wanted] = NodeWanted if told.get("kind") == "node" else PythonWanted
    wanted = kind(**_typed(told, kind))
    _path(wanted.source)
    _one_of("kind", wanted.kind, ("python", "node"))
    _one_of("architecture", wanted.architecture, ARCHITECTURES)
    if isinstance(wanted, PythonWanted):
        _check_python(wanted)
    else:
        _check_node(wanted)
    return wanted


def check_requirements(text: str) -> None:
    """Raise `InvalidBundle` for a line that is no package of a registry."""
    for line in text.splitlines():
        words = " ".join(line.split())
        if words and not words.startswith("#") and not _REQUIREMENT.fullmatch(words):
            raise InvalidBundle(
                f"A function's bundle may not have the requirement {words[:200]!r}.",
                "Name packages of a registry (`name==1.2`) or archives (`name @ https://….whl`); options, files, "
                "and repositories of git are not installed into a function.",
            )


def _check_python(wanted: PythonWanted) -> None:
    _one_of("Python", wanted.python, PYTHONS)
    check_requirements(wanted.requirements)
    for index in wanted.indexes:
        if not _INDEX.fullmatch(index):
            raise _refused(f"names the registry {index[:100]!r}, which is no https address without a password")
    for name in wanted.left_out:
        if not re.fullmatch(_NAME, name):
            raise _refused(f"leaves out {name[:100]!r}, which is no package's name")


def _check_node(wanted: NodeWanted) -> None:
    _one_of("target", wanted.target, NODES)
    _one_of("format", wanted.format, tuple(FORMATS))
    if not wanted.source:
        raise _refused("names no file to start from")
    for pattern, names in (
        (_EXTERNAL, wanted.external),
        (_INSTALLED, wanted.install),
        (_LOCKED, wanted.locked),
    ):
        for name in names:
            if len(name) > 1000 or not pattern.fullmatch(name):
                raise _refused(f"names {name[:100]!r}, which is no package of a registry")


def _typed(told: Mapping[str, Any], kind: type[Wanted]) -> dict[str, Any]:
    """Return the fields of a bundle's file, each of its type; raise `InvalidBundle` for any other.

    The app's library may be older than this one: what it does not know is as by default.
    """
    found: dict[str, Any] = {}
    for each in fields(kind):
        declared, value = kind.__annotations__[each.name], told.get(each.name, each.default)
        if declared in (bool, str) and isinstance(value, declared):
            found[each.name] = value
        elif declared not in (bool, str) and isinstance(value, list | tuple) and _are_texts(value):
            found[each.name] = tuple(value)
        else:
            raise _refused(f"has no {each.name} that could be read")
    if more := sorted(set(told) - set(found)):
        raise InvalidBundle(
            f"A function's bundle says {', '.join(more)[:100]!r}, which is not known here.",
            "If the app's stagedoor is newer than the one that deploys it, bring that up to date.",
        )
    return found


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _path(source: str) -> None:
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts or len(source) > 1000 or not source.isprintable():
        raise _refused(f"names the file {source[:200]!r}, which is not inside of the repository")


def _one_of(name: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise _refused(f"names the {name} {value[:50]!r}; there are {', '.join(values)}")


def _refused(what: str) -> InvalidBundle:
    return InvalidBundle(
        f"A function's bundle {what}.", "Make it with stagedoor's Function; its file is not for others to write."
    )
