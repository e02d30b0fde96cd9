"""Which app a command is about: read from the folder that it runs in, its repository and `stagedoor.toml`."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stagedoor.errors import UserError
from stagedoor.naming import app_name

if TYPE_CHECKING:
    from stagedoor.config import AppConfig

_SCP_LIKE = re.compile(r"^(?:[^/@]+@)?(?P<host>[^/:]+):(?P<path>.+)$")
_NOT_IN_TAGS = re.compile(r"[^\w+\-=.:/@]")
_TAG_LIMIT = 256


class NoApp(UserError):
    """The command was given in a folder that holds no CDK app."""

    id = "no-app"


class UnknownApp(UserError):
    """`--app` is neither an app of `stagedoor.toml` nor the folder of one."""

    id = "unknown-app"


class RepositoryUnreadable(UserError):
    """There is a git repository, and git is not there or does not read it."""

    id = "repository-unreadable"


class UnknownRevision(UserError):
    """`--commit` names no commit of the repository around the app."""

    id = "unknown-revision"


class SeveralApps(UserError):
    """The repository has several apps, and nothing says which one is meant."""

    id = "several-apps"


@dataclass(frozen=True, slots=True)
class Repository:
    """Where an app's source is. `remote` is the URL that it is pushed to, None where there is none."""

    root: Path
    remote: str | None = None

    @property
    def id(self) -> str:
        """Who owns a stage that no service deployed, as a tag says it: `local/` and the remote's address.

        All clones of a repository have the same one, whether they speak SSH or HTTPS. Without a remote it is the name
        of the folder. Rule: tag values are at most 256 characters of letters, digits, spaces and `_.:/=+-@`
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Tag.html).
        """
        address = remote_address(self.remote) if self.remote else None
        return _NOT_IN_TAGS.sub("_", f"local/{address or self.root.name}")[:_TAG_LIMIT]

    @property
    def name(self) -> str:
        """The last part of its address, after which an app at its root is named."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class AppFolder:
    """A CDK app on this machine. `command` is the one of `stagedoor.toml`, which replaces that of `cdk.json`; `cache`:
    what it gave for an equal tree may be used again. `parameters` are values that a command was given (`--parameter`).
    """

    name: str
    path: Path
    repository: Repository
    command: str | None = None
    cache: bool = True
    parameters: tuple[str, ...] = ()


def remote_address(url: str) -> str | None:
    """Return `host/path` of a git remote, the same for each protocol; None for a folder of this machine."""
    if "://" in url:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    elif match := _SCP_LIKE.match(url):
        host, path = match["host"], match["path"]
    else:
        return None
    path = path.strip("/").removesuffix(".git").rstrip("/")
    return f"{host}/{path}".lower() if host and path else None


def find_app(here: Path, wanted: str | None = None) -> AppFolder:
    """Return the app that `wanted` names, by its name in `stagedoor.toml` or its folder; else the one that is `here`.

    Raises `NoApp`, `UnknownApp`, `SeveralApps`, `ConfigInvalid`, `RepositoryUnreadable`.
    """
    repository = find_repository(here.resolve())
    app = _find(here.resolve(), wanted, repository, _declared(repository.root))
    if not (app.path / "cdk.json").is_file() and app.command is None:
        raise NoApp(
            f"There is no cdk.json in {app.path}.", "Run this in the folder of a CDK app, or name one with --app."
        )
    return app


def find_app_of_stage(here: Path, wanted: str | None = None) -> AppFolder:
    """As `find_app`, for a stage that is to go: its app may have left the source, or be broken there. What `wanted`
    says is its name then, or where it was.

    Raises `SeveralApps`, and where nothing says which app it is, `ConfigInvalid`.
    """
    repository = find_repository(here.resolve())
    try:
        return _find(here.resolve(), wanted, repository, _declared(repository.root))
    except UserError as error:
        if not wanted or isinstance(error, SeveralApps):
            raise
        return AppFolder(app_name(PurePath(wanted).name), here.resolve(), repository)


def _find(here: Path, wanted: str | None, repository: Repository, apps: "Mapping[str, AppConfig]") -> AppFolder:
    named = {name: (repository.root / app.path).resolve() for name, app in apps.items()}
    name = wanted if wanted in named else _name_of_folder(named, here / wanted if wanted else here, wanted)
    if name is not None:
        return AppFolder(name, named[name], repository, apps[name].command, apps[name].cache)
    folder = (here / wanted).resolve() if wanted else here
    if wanted and not folder.is_dir():
        raise UnknownApp(f"There is no app {wanted!r} here, neither a name nor a folder.", _choices(apps))
    own_name = repository.name if folder == repository.root else folder.name
    return AppFolder(app_name(own_name), folder, repository)


def find_repository(folder: Path) -> Repository:
    """Return the git repository around a folder; where there is none, the folder itself.

    Raises `RepositoryUnreadable`.
    """
    root = _git(folder, "rev-parse", "--show-toplevel")
    if root is None:
        around = next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
        if around is not None:  # its folder's name would be taken for its address: the owner of all stages
            raise RepositoryUnreadable(
                f"git does not tell of the repository in {around}.",
                f"See what `git -C {around} status` says; of another user's folder it wants `safe.directory` set.",
            )
        return Repository(folder)
    remotes = (_git(folder, "remote") or "").split()
    remote = "origin" if "origin" in remotes else next(iter(remotes), None)
    return Repository(Path(root).resolve(), _git(folder, "config", "--get", f"remote.{remote}.url") if remote else None)


def _declared(root: Path) -> "Mapping[str, AppConfig]":
    """Return the apps that a repository's `stagedoor.toml` names; none where there is no such file."""
    file = root / os.environ.get("STAGEDOOR_CONFIG", "stagedoor.toml")
    if not file.is_file():
        return {}
    from stagedoor.config import parse_config  # with pydantic, which takes a tenth of a second to load

    return parse_config(file.read_bytes()).apps


def _name_of_folder(named: Mapping[str, Path], folder: Path, wanted: str | None) -> str | None:
    """Return the app of `stagedoor.toml` that a folder is, or is in; an app of the folder's own comes before that."""
    folder = folder.resolve()
    for name, path in named.items():
        if path == folder:
            return name
    if wanted is not None or (folder / "cdk.json").is_file():
        return None
    around = [name for name, path in named.items() if folder.is_relative_to(path)]
    if around:
        return max(around, key=lambda name: len(named[name].parts))
    if len(named) > 1:
        raise SeveralApps(f"This repository has several apps: {', '.join(sorted(named))}.", "Name one with --app.")
    return next(iter(named), None)


def _choices(apps: "Mapping[str, AppConfig]") -> str:
    return f"stagedoor.toml names {', '.join(sorted(apps))}." if apps else "Name the folder of a CDK app."


def commit_of(folder: Path, revision: str) -> str:
    """Return the whole id of the commit that a revision names in a folder's repository. Raises `UnknownRevision`."""
    found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise UnknownRevision(
            f"{revision[:100]!r} names no commit here.", "Name a branch, a tag or a commit's id of this repository."
        )
    return found


def _git(folder: Path, *words: str) -> str | None:
    """Return what git answers; None when it has no answer or is not installed."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
