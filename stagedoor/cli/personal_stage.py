"""How a stage of one's own is named: after its developer, once, and the same for every command from then on."""

import getpass
import json
import os
import tempfile
from pathlib import Path

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.service import Logins
from stagedoor.errors import UserError
from stagedoor.naming import stage_name_for_branch


class NobodyKnown(UserError):
    """Nothing says who is at the keyboard, so that a stage could be named after them."""

    id = "nobody-known"


class OwnStages:
    """The names of a person's own stages by app, beside their logins."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of_user(cls) -> "OwnStages":
        """Return this person's (https://specifications.freedesktop.org/basedir-spec/latest/)."""
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(home) / "stagedoor" / "stages.json")

    def name(self, app: AppFolder) -> str | None:
        """Return the name that is kept for an app."""
        return self._read().get(_key(app))

    def keep(self, app: AppFolder, name: str) -> None:
        """Keep a name; the file is replaced as a whole."""
        kept = {**self._read(), _key(app): name}
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written, passing = tempfile.mkstemp(dir=self._file.parent)
        with os.fdopen(written, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1)
        Path(passing).replace(self._file)

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def stage_named(given: str | None, app: AppFolder, login: str = "") -> str:
    """Return the stage that a command is about: the one that it was given, else one's own, which is kept.

    One's own is `dev-` and the name at GitHub: `login`, or that of the last `stagedoor login`; who never logged in has
    the name of this machine's user. Raises `NobodyKnown`.
    """
    if given is not None:
        return given
    stages = OwnStages.of_user()
    kept = stages.name(app)
    if kept is not None:
        return kept
    name = stage_name_for_branch(f"dev-{(login or _who()).lower()}")
    stages.keep(app, name)
    return name


def _who() -> str:
    logins = list(Logins.of_user().read().values())
    if logins:
        return logins[-1]["login"]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        raise NobodyKnown(
            "Nothing says who you are, after whom your stage is named.", "Name it with --stage."
        ) from None


def _key(app: AppFolder) -> str:
    return f"{app.repository.id}/{app.name}"
