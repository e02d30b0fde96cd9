"""What `stagedoor.toml` can say. Its meaning for a user is in docs/configuration.md.

Models are frozen and closed: an unknown key is a mistake, never ignored. Types are strict, since `enabled = "false"`
must not mean true.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictStr
from pydantic_core import PydanticCustomError

from stagedoor.config.patterns import covers, literal_length, matches
from stagedoor.naming import app_name

APP_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,39}\Z")
_STAGE_PATTERN = re.compile(r"^[a-z*?][a-z0-9*?-]{0,39}\Z")
_TEXT_LIMIT = 255
_COMMAND_LIMIT = 4096
_LIST_LIMIT = 100


def _refused(what: str, remedy: str) -> PydanticCustomError:
    return PydanticCustomError("refused", "{what}", {"what": what, "remedy": remedy})


def _app_name(name: str) -> str:
    if not APP_NAME.match(name):
        raise _refused(
            "An app's name becomes part of its stacks' names, and this one cannot.",
            "Use at most 40 letters, digits and hyphens, beginning with a letter.",
        )
    return name


def _stage_pattern(pattern: str) -> str:
    if not _STAGE_PATTERN.match(pattern):
        raise _refused(
            "No stage's name can match this.",
            "Stage names are at most 40 lower-case letters, digits and hyphens; `*` and `?` stand for any of them.",
        )
    return pattern


def _text(text: str) -> str:
    if not text.strip():
        raise _refused("This is empty.", "Write something, or leave the key out.")
    if len(text) > _TEXT_LIMIT:
        raise _refused("This is too long.", f"Use at most {_TEXT_LIMIT} characters.")
    if not text.isprintable():
        raise _refused("This has a control character in it.", "Use printable characters only.")
    return text


def _command(command: str) -> str:
    if not command.strip() or len(command) > _COMMAND_LIMIT or "\0" in command:
        raise _refused("This cannot be run.", 'Write the command of the CDK app, as in cdk.json: "python app.py".')
    return command


def _folder(path: str) -> str:
    """Return the path in its plain form: relative, without `.` parts or a slash at its end."""
    _inside(path)
    return str(PurePosixPath(path))


def _inside(path: str) -> str:
    _text(path)
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise _refused(
            "This path leads out of the repository.",
            "Write it relative to the repository's root, with forward slashes and without `..`.",
        )
    return path


def _path_pattern(pattern: str) -> str:
    if pattern.startswith("!"):
        raise _refused("Patterns that exclude are not supported.", "List the paths that matter instead.")
    return _inside(pattern).removeprefix("./").rstrip("/")


def _target(name: str) -> str:
    if name.startswith("arn:") or re.fullmatch(r"\d{12}", name):
        raise _refused(
            "This is an account or a role, and whoever operates the service decides about those.",
            "Name one of the targets that were granted to this repository.",
        )
    return _text(name)


Text = Annotated[StrictStr, AfterValidator(_text)]
Patterns = Annotated[tuple[Text, ...], Field(max_length=_LIST_LIMIT)]
PathPatterns = Annotated[
    tuple[Annotated[StrictStr, AfterValidator(_path_pattern)], ...],
    Field(max_length=_LIST_LIMIT),
]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AppConfig(_Table):
    """`[apps.<name>]`: where a CDK app is, how its program is run, and which changes matter to it.

    `cache`: the assembly of a tree that was seen before may be used again. `synth`: who runs its program, the service
    or a workflow of the repository's own.
    """

    path: Annotated[StrictStr, AfterValidator(_folder)] = "."
    command: Annotated[StrictStr, AfterValidator(_command)] | None = None
    cache: StrictBool = True
    synth: Literal["service", "actions"] = "service"
    paths: PathPatterns = ()

    def touched_by(self, changed: Iterable[str]) -> bool:
        """Return whether a change of these files (relative to the repository's root) matters to the app."""
        if not self.paths and self.path == ".":
            return any(True for _ in changed)
        patterns = self.paths or (f"{self.path}/**",)
        return any(covers(pattern, path) for path in changed for pattern in patterns)


class Previews(_Table):
    """`[previews]`: which pull requests and branches get a stage. `forks = "approve"`: a fork's waits for the word of
    somebody who may write to the repository.
    """

    enabled: StrictBool = True
    branches: Patterns = ()
    labels: Annotated[tuple[Text, ...], Field(max_length=_LIST_LIMIT)] = ()
    drafts: StrictBool = True
    forks: Literal["deny", "approve"] = "deny"

    def wants_branch(self, branch: str) -> bool:
        """Return whether a branch gets a stage of its own, without a pull request."""
        return self.enabled and any(matches(pattern, branch) for pattern in self.branches)

    def wants_pull_request(self, *, draft: bool, labels: Iterable[str]) -> bool:
        """Return whether a pull request from the same repository gets a preview."""
        bears_label = not self.labels or not set(self.labels).isdisjoint(labels)
        return self.enabled and (self.drafts or not draft) and bears_label


class StageRule(_Table):
    """`[stages.<pattern>]`: which granted target a stage lives in, and which GitHub environment it is told under.

    `pull_requests = "diff"`: workflows of pull requests from the same repository may compare their commit with it.
    """

    target: Annotated[StrictStr, AfterValidator(_target)] | None = None
    environment: Text | None = None
    pull_requests: Literal["none", "diff"] = "none"


class Outputs(_Table):
    """`[outputs]`: which of the app's stack outputs the pull request's comment shows."""

    show: Patterns = ("*",)

    def shows(self, name: str) -> bool:
        """Return whether an output of this name is shown."""
        return any(matches(pattern, name) for pattern in self.show)


class LiveFunctionRule(_Table):
    """`[live.functions.<pattern>]`: where the code of functions is that `stagedoor dev` cannot find by itself.

    `source` is a folder, or for code that is built the file to start from; `handler` replaces the template's.
    """

    source: Annotated[StrictStr, AfterValidator(_folder)] | None = None
    handler: Text | None = None


class Live(_Table):
    """`[live]`: what holds on developers' own machines. Patterns match construct paths and logical ids; `server` is the
    URL of the deployment service.
    """

    server: Text | None = None
    functions: Mapping[Text, LiveFunctionRule] = Field(default_factory=dict)


class Config(_Table):
    """The whole file. An empty one is a valid one: every table has defaults."""

    apps: Mapping[Annotated[str, AfterValidator(_app_name)], AppConfig] = Field(default_factory=dict)
    previews: Previews = Previews()
    stages: Mapping[Annotated[str, AfterValidator(_stage_pattern)], StageRule] = Field(default_factory=dict)
    outputs: Outputs = Outputs()
    live: Live = Live()

    def apps_of(self, repository: str) -> Mapping[str, AppConfig]:
        """Return the apps by name; where none is declared, one at the root, named after the repository.

        `repository` is GitHub's full name (`acme/notes`).
        """
        return self.apps or {app_name(repository.rpartition("/")[2]): AppConfig()}

    def stage_rule(self, stage: str) -> StageRule:
        """Return the rule for a stage: that of the most specific pattern, which has most characters of its own.

        Rules are not merged. Without a matching pattern, an empty rule: the only granted target, the usual environment.
        """
        fitting = [pattern for pattern in self.stages if matches(pattern, stage)]
        if not fitting:
            return StageRule()
        return self.stages[max(fitting, key=lambda pattern: (literal_length(pattern), pattern))]

    @property
    def digest(self) -> str:
        """Return SHA-256, in hexadecimal, of what the file says of stages: the same for files that mean the same."""
        said = self.model_dump(mode="json", exclude={"live"})  # no stage is another for it
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
