"""Which stages should be: a pure decision on what a repository says and on what is true of a pull request or branch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from service.models import StageKind
from stagedoor.config import Config, ConfigInvalid
from stagedoor.naming import stage_name_for_branch, stage_name_for_pull_request
from stagedoor.target import Trust

PREVIEW_ENVIRONMENT = "preview"


@dataclass(frozen=True, slots=True)
class PullFacts:
    """What is true of a pull request now. `from_fork` is also said when the head's repository is gone."""

    number: int
    open: bool
    draft: bool
    labels: tuple[str, ...]
    head_sha: str
    from_fork: bool
    changed_paths: Sequence[str] | None = None  # None: too many to tell, so every app is touched
    approval: Mapping[str, Any] | None = None  # a maintainer's word on this very head of a fork's
    denied: str = ""  # why the last word on it did not count


@dataclass(frozen=True, slots=True)
class BranchFacts:
    """What is true of a branch now; `sha` is None when it is gone."""

    name: str
    sha: str | None


@dataclass(frozen=True, slots=True)
class GrantView:
    """A grant and the name of the target that it leads to. The patterns are the shell's, matched in full."""

    target_id: int
    target: str
    trust: Trust
    repository: str
    app: str
    stage: str


@dataclass(frozen=True, slots=True)
class Note:
    """Why there is no stage, for the pull request's comment. `errors` are places in stagedoor.toml."""

    id: str
    what: str
    remedy: str
    errors: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the note as `Source.note` keeps it."""
        return {"id": self.id, "what": self.what, "remedy": self.remedy, "errors": [dict(e) for e in self.errors]}


@dataclass(frozen=True, slots=True)
class Wish:
    """A stage that should be, of this commit and with these settings."""

    app: str
    stage: str
    kind: StageKind
    commit: str
    target_id: int
    environment: str
    settings: Mapping[str, Any]
    approval: Mapping[str, Any] | None = None

    @property
    def identity(self) -> str:
        """Return a digest of the commit and of what else makes a deploy come out differently."""
        return hashlib.sha256(f"{self.commit} {self.digest}".encode()).hexdigest()

    @property
    def digest(self) -> str:
        """Return a digest of what, besides the commit, makes a deploy come out differently."""
        return hashlib.sha256(json.dumps(dict(self.settings), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Wishes:
    """All stages that a source should have. With `keep_others` its other stages stay as they are, else they go."""

    stages: tuple[Wish, ...] = ()
    note: Note | None = None
    keep_others: bool = False


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """What wishes depend on besides the source: the repository's name, its configuration, and its grants."""

    full_name: str
    config: Config | ConfigInvalid | None
    grants: tuple[GrantView, ...] = ()
    existing_apps: frozenset[str] = field(default_factory=frozenset)  # that already have a stage from this source
    fork_synth: bool = False  # whether the operator lets the service itself run a fork's code


def wishes_for_pull(repository: RepositoryView, pull: PullFacts) -> Wishes:
    """Return the stages that a pull request should have."""
    if not pull.open:
        return Wishes()
    if isinstance(repository.config, ConfigInvalid):
        # What is live stays: a typing mistake on the base branch must not tear previews down.
        return Wishes(note=_config_note(repository.config), keep_others=True)
    if pull.from_fork and (note := _note_of_fork(repository.config, pull)):
        # What was approved before stays live: nobody has asked for its end.
        return Wishes(note=note, keep_others=note is not FORK_NOTE)
    if repository.config is None or not repository.config.previews.enabled:
        return Wishes()
    previews = repository.config.previews
    if not previews.wants_pull_request(draft=pull.draft, labels=pull.labels):
        return Wishes(note=DRAFT_NOTE if pull.draft and not previews.drafts else _label_note(previews.labels))
    stage = stage_name_for_pull_request(pull.number)
    return _wishes(repository, StageKind.PREVIEW, stage, pull.head_sha, pull.changed_paths, pull.approval)


def wishes_for_branch(repository: RepositoryView, branch: BranchFacts) -> Wishes:
    """Return the stages that a branch should have without a pull request: those of a branch that a rule names."""
    if branch.sha is None:
        return Wishes()
    if isinstance(repository.config, ConfigInvalid):
        return Wishes(note=_config_note(repository.config), keep_others=True)
    if repository.config is None or not repository.config.previews.wants_branch(branch.name):
        return Wishes()
    return _wishes(repository, StageKind.NAMED, stage_name_for_branch(branch.name), branch.sha, None)


def _wishes(
    repository: RepositoryView,
    kind: StageKind,
    stage: str,
    commit: str,
    changed: Sequence[str] | None,
    approval: Mapping[str, Any] | None = None,
) -> Wishes:
    config = repository.config
    if not isinstance(config, Config):  # the callers have looked; this tells the type checker
        return Wishes()
    wishes: list[Wish] = []
    note: Note | None = None
    # The code of a pull request that nobody has merged has no business in a production target, whatever was granted.
    grants = [g for g in repository.grants if kind is not StageKind.PREVIEW or g.trust is Trust.PREVIEW]
    for app, settings in config.apps_of(repository.full_name).items():
        if changed is not None and app not in repository.existing_apps and not settings.touched_by(changed):
            continue
        if approval is not None and settings.synth != "actions" and not repository.fork_synth:
            note = FORK_SYNTH_NOTE
            continue
        rule = config.stage_rule(stage)
        chosen = choose_target(grants, repository.full_name, app, stage, rule.target)
        if isinstance(chosen, Note):
            note = chosen
            continue
        wishes.append(
            Wish(
                app=app,
                stage=stage,
                kind=kind,
                commit=commit,
                target_id=chosen.target_id,
                environment=rule.environment or PREVIEW_ENVIRONMENT,
                settings={
                    "path": settings.path,
                    "command": settings.command,
                    "cache": settings.cache,
                    "show": list(config.outputs.show),
                    **({"synth": settings.synth} if settings.synth != "service" else {}),
                    **({"pull_requests": rule.pull_requests} if rule.pull_requests != "none" else {}),
                },
                approval=approval,
            )
        )
    return Wishes(tuple(wishes), note, keep_others=note is not None)


def choose_target(
    grants: Sequence[GrantView], repository: str, app: str, stage: str, wanted: str | None
) -> GrantView | Note:
    """Return the grant to use: among those that fit, the one whose target is named, or the only one there is."""
    fitting = {
        grant.target: grant
        for grant in grants
        if fnmatchcase(repository.lower(), grant.repository.lower())
        and fnmatchcase(app, grant.app)
        and fnmatchcase(stage, grant.stage)
    }
    if wanted is not None:
        return fitting.get(wanted) or Note(
            "target-not-granted",
            f"The target {wanted!r} is not granted to the app {app!r} for the stage {stage!r}.",
            f"Granted are: {', '.join(sorted(fitting)) or 'none'}. Ask whoever operates Stagedoor, or name another.",
        )
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    if not fitting:
        return Note(
            "no-grant",
            f"No target is granted to {repository} for the app {app!r} and the stage {stage!r}.",
            "Whoever operates Stagedoor adds a grant; until then nothing is deployed.",
        )
    return Note(
        "target-ambiguous",
        f"Several targets are granted for the app {app!r} and the stage {stage!r}: {', '.join(sorted(fitting))}.",
        f'Name one in stagedoor.toml: [stages."{stage}"] target = "{min(fitting)}".',
    )


FORK_NOTE = Note(
    "fork",
    "This pull request comes from a fork, so it gets no preview.",
    "A maintainer who trusts the change can push it to a branch of this repository; with "
    '`forks = "approve"` under [previews] in stagedoor.toml, one comment is enough.',
)
FORK_SYNTH_NOTE = Note(
    "fork-synth",
    "The code of a fork is not run by the service itself.",
    'Have the repository\'s own workflow make the assembly: `synth = "actions"` under [apps.<name>] in stagedoor.toml.',
)
DRAFT_NOTE = Note(
    "draft",
    "Drafts get no preview in this repository.",
    "Mark the pull request as ready for review, or set `drafts = true` under [previews].",
)


def _note_of_fork(config: Config | None, pull: PullFacts) -> Note | None:
    """Return why a fork's pull request gets no preview of its head; None where it does."""
    if config is None or config.previews.forks == "deny":
        return FORK_NOTE
    return None if pull.approval else _approval_note(pull)


def _approval_note(pull: PullFacts) -> Note:
    denied = f" {pull.denied}" if pull.denied else ""
    return Note(
        "fork-approval",
        f"This pull request comes from a fork: it waits for a maintainer's word.{denied}",
        "Somebody who may write to this repository and has read the change comments, on a line of its own: "
        f"`/deploy {pull.head_sha}`. It holds for that commit alone.",
    )


def _label_note(labels: Sequence[str]) -> Note:
    return Note(
        "label",
        "This pull request bears none of the labels that ask for a preview.",
        f"Add one of: {', '.join(labels)}.",
    )


def _config_note(error: ConfigInvalid) -> Note:
    problems = tuple(
        {
            "path": problem.location.path,
            "line": problem.location.line,
            "column": problem.location.column,
            "what": problem.what,
            "remedy": problem.remedy,
        }
        for problem in error.problems
    )
    return Note(error.id, error.what, error.remedy, problems)
