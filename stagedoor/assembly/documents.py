"""Reading the JSON files of an assembly that a stranger's program wrote.

Nothing here trusts the file: its path stays inside the assembly, its size and depth are capped, and whatever is wrong
with it is a `MalformedAssembly` that names the file.
Rule for names in an assembly: paths are relative to the manifest's directory
(https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema).
"""

import json
import math
import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from stagedoor.errors import UserError

DOCUMENT_BYTES = 16 * 1024 * 1024
"""No manifest, asset manifest or template is read past this size; CloudFormation's own limit for a template is 1 MB."""

DOCUMENT_DEPTH = 100
"""Nesting of objects and lists in one document. Templates of real apps stay under 40."""

NUMBER_DIGITS = 308
"""What a number may be long. JavaScript, which CDK's own tools read these files with, has none of more digits."""

SYNTH_AGAIN = "Run synth again with an unchanged aws-cdk-lib; if it stays, report it with the file."


class MalformedAssembly(UserError):
    """A file of the assembly that is missing, is not JSON or has not the shape that CDK gives it."""

    id = "malformed-assembly"


class PathOutsideAssembly(UserError):
    """A path in a manifest that is absolute or leads out of the assembly's directory."""

    id = "path-outside-assembly"


def path_inside(root: Path, base: Path, relative: str) -> Path:
    """Return `relative`, taken from `base`, as an absolute path without links; it must exist and lie inside `root`.

    `root` must be resolved already. `..` is allowed where it stays inside, since a nested assembly's assets lie beside
    it (`../asset.<hash>`).
    """
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise MalformedAssembly(f"The path {relative!a} is not valid text.", SYNTH_AGAIN) from None
    if not relative or "\0" in relative:
        raise MalformedAssembly(f"{relative!r} is not a path.", SYNTH_AGAIN)
    outside = PathOutsideAssembly(
        f"The assembly refers to {relative!r}, which is outside of its own directory.",
        "Let assets be staged into the assembly: leave `aws:cdk:disable-asset-staging` out of the context.",
    )
    if PurePosixPath(relative).is_absolute() or "\\" in relative:
        raise outside
    try:
        path = Path(os.path.realpath(base / relative, strict=True))
    except (OSError, ValueError, RecursionError) as error:
        # Outside is outside whether or not something is there: what this machine holds is not to be asked that way.
        if not Path(os.path.normpath(base / relative)).is_relative_to(root):
            raise outside from None
        raise MalformedAssembly(f"The assembly refers to {relative!r}, which is not in it.", SYNTH_AGAIN) from error
    if not path.is_relative_to(root):
        raise outside
    return path


def read_document(root: Path, base: Path, relative: str) -> dict[str, Any]:
    """Return the JSON object in a file of the assembly."""
    path = path_inside(root, base, relative)
    return parse_document(_read_bytes(path, relative), relative)


def parse_document(data: bytes, name: str) -> dict[str, Any]:
    """Return the JSON object in `data`; `name` is what errors call it."""
    try:
        document = json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_float,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise MalformedAssembly(f"{name} is not valid JSON: {error}.", SYNTH_AGAIN) from None
    if not isinstance(document, dict):
        raise MalformedAssembly(f"{name} is not a JSON object.", SYNTH_AGAIN)
    _check_depth(document, name)
    return document


def _read_bytes(path: Path, name: str) -> bytes:
    # Non-blocking, so that a named pipe in the place of a file cannot hold us; its kind is checked before it is read.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise MalformedAssembly(f"{name} cannot be read: {error.strerror}.", SYNTH_AGAIN) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MalformedAssembly(f"{name} is not a file.", SYNTH_AGAIN)
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(DOCUMENT_BYTES + 1)
    if len(data) > DOCUMENT_BYTES:
        raise MalformedAssembly(
            f"{name} is larger than {DOCUMENT_BYTES // 1024**2} MiB.", "Split the stack into several smaller ones."
        )
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _integer(text: str) -> int:
    if len(text) > NUMBER_DIGITS:
        raise ValueError("a number is too large")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that says one thing twice: each reader takes the one that it likes."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object names {twice[:100]!a} twice")
    return found


def _check_depth(document: dict[str, Any], name: str) -> None:
    level: list[Any] = [document]
    for _ in range(DOCUMENT_DEPTH):
        level = [child for value in level for child in _children(value)]
        if not level:
            return
    raise _too_deep(name)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(name: str) -> MalformedAssembly:
    return MalformedAssembly(f"{name} is nested deeper than {DOCUMENT_DEPTH} levels.", "Write flatter documents.")
