"""Variables of an app's `.env` files, layered by stage.

Beside `cdk.json`: `.env`, `.env.local`, `.env.<stage>`, `.env.<stage>.local`; a later file wins over an earlier one,
and the environment of whoever runs the app over all of them. A value may refer to other names of the files as
`${NAME}` or `${NAME:-default}`, and to no variable else: the files may be a stranger's.
"""

from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from stagedoor.errors import Location, UserError
from stagedoor.synth.tree import exists, read_text


class InvalidEnvFile(UserError):
    """A line of a `.env` file that is none."""

    id = "invalid-env-file"


def env_file_names(stage: str) -> tuple[str, ...]:
    """Return the files of a stage, each of which wins over those before it."""
    return ".env", ".env.local", f".env.{stage}", f".env.{stage}.local"


def read_env_files(folder: Path, root: Path, stage: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the files of `folder` name, in the repository `root`; `ours` is the environment whose
    values come before the files'. Raises `InvalidEnvFile`, `UnsafeFile`.
    """
    known: dict[str, str] = {}
    for file in (folder / name for name in env_file_names(stage)):
        if exists(file):
            for name, value in parse_env_file(read_text(file, root), str(file.relative_to(root))):
                known[name] = ours[name] if name in ours else _resolved(value, known)
    return known


def parse_env_file(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield each name of a file in the form of `.env`, and what stands there for its value. Raises `InvalidEnvFile`."""
    from dotenv.parser import parse_stream  # only where there is such a file

    for line in parse_stream(StringIO(text)):
        if line.error:
            raise InvalidEnvFile(
                f"A line of {name} gives no variable a value: {line.original.string.strip()[:20]!a}…",
                "Write NAME=value; put quotes around a value with spaces, and # before a comment.",
                location=Location(name, line.original.line),
            )
        if line.key is not None:
            yield line.key, line.value or ""


def _resolved(value: str, known: Mapping[str, str]) -> str:
    """Return a value with what it refers to in place."""
    from dotenv.variables import parse_variables

    return "".join(part.resolve(known) for part in parse_variables(value))
