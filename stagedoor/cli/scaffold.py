"""What `stagedoor init` writes into a folder: a new app's files, or the few that what is there lacks.

Nothing that is there is overwritten; a `.gitignore` that is there gets the lines that it lacks.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.naming import app_name

TEMPLATES = Path(__file__).with_name("templates")
_NAMED = {"gitignore": ".gitignore", "pyproject": "pyproject.toml"}
"""Templates whose own names would mean something to git and to tools in this repository."""

_FRONT_ENDS = {
    "astro": ("dist", "PUBLIC_", False),
    "gatsby": ("public", "GATSBY_", False),
    "next": ("out", "NEXT_PUBLIC_", False),
    "react-scripts": ("build", "REACT_APP_", True),
    "vite": ("dist", "VITE_", True),
}
"""What builds sites, by the package's name: the folder that it builds into, what the names of the variables begin with
that it lets the site see, and whether all paths are one page.
"""


class FolderNotEmpty(UserError):
    """A new app's files would lie among others that are no app."""

    id = "folder-not-empty"


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """A site's project: what builds it, the command, the folder of the result, the name by which the site knows its
    API, and whether all paths are one page.
    """

    tool: str
    command: str
    output: str
    variable: str
    spa: bool


@dataclass(slots=True)
class Writing:
    """Writes files into a folder, and remembers which. `words` stand for `{{…}}` in templates."""

    folder: Path
    words: Mapping[str, str]
    written: list[str]
    extended: list[str]

    def template(self, name: str) -> None:
        """Write all files of a template that are not there yet."""
        for file in sorted(TEMPLATES.joinpath(name).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                place = file.relative_to(TEMPLATES / name)
                self.file(place.with_name(_NAMED.get(place.name, place.name)), file.read_text("utf-8"))

    def file(self, place: Path, text: str) -> None:
        """Write a file, unless it is there; of a `.gitignore` that is, the lines that it lacks."""
        file = self.folder / place
        for word, meaning in self.words.items():
            text = text.replace(f"{{{{{word}}}}}", meaning)
        if place.name == ".gitignore" and file.exists():
            self._extend(place, text.splitlines())
        elif not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            self.written.append(place.as_posix())

    def _extend(self, place: Path, lines: list[str]) -> None:
        file = self.folder / place
        before = file.read_text(encoding="utf-8")
        there = {line.strip().strip("/") for line in before.splitlines()}
        lacking = [line for line in lines if line.strip("/") not in there]
        if lacking:
            end = "" if before.endswith("\n") or not before else "\n"
            file.write_text(f"{before}{end}{''.join(f'{line}{chr(10)}' for line in lacking)}", encoding="utf-8")
            self.extended.append(place.as_posix())


def front_end_of(folder: Path) -> FrontEnd | None:
    """Return the site that a folder's `package.json` builds; None where there is none that we know."""
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        needs = {**package.get("dependencies", {}), **package.get("devDependencies", {})}
        scripts = package.get("scripts", {})
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    for tool, (output, begins, spa) in _FRONT_ENDS.items():
        if tool in needs:
            command = "npm run build" if "build" in scripts else f"npx {tool} build"
            return FrontEnd(tool, command, output, f"{begins}API_URL", spa)
    return None


def check_empty(folder: Path) -> None:
    """Raise `FolderNotEmpty` where there are others' files than those that no app minds."""
    harmless = re.compile(r"\.git|\.gitignore|\.gitattributes|\.editorconfig|\.idea|\.vscode|LICENSE.*|README.*|\.venv")
    others = [name for name in _names(folder) if not harmless.fullmatch(name)]
    if others:
        shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
        raise FolderNotEmpty(
            f"{folder} holds {shown}: neither a CDK app nor a front end that is known.",
            "Run this in an empty folder, in one with a cdk.json or a front end's package.json, or name a --template.",
        )


def name_of(folder: Path) -> str:
    """Return how an app in a folder is called, as a Python project may be."""
    return app_name(folder.name).lower()


def _names(folder: Path) -> Iterator[str]:
    return (entry.name for entry in sorted(folder.iterdir()))
