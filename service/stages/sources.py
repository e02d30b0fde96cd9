"""Ask GitHub what is true of a pull request or a branch now, and write down what its stages should be.

Answers may be slow and overtake each other, so each question has a number: an answer is dropped when that of a later
question has been written. The network is never spoken to inside a transaction.
"""

from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.database import Sessions, now
from service.github.client import GitHubClients, RepositoryClient
from service.github.errors import GitHubUnavailable, InstallationGone
from service.github.escape import plain
from service.models import (
    App,
    ApprovalState,
    Grant,
    Intent,
    Repository,
    Source,
    SourceKind,
    Stage,
    TargetRow,
    Want,
)
from service.stages.approvals import Verdict, Word, approval_of, granted_in, judged, last_denied, words, write_verdicts
from service.stages.decide import retry_after
from service.stages.intents import apply_wishes
from service.stages.waiting import wake_for_workflow
from service.stages.wishes import (
    BranchFacts,
    GrantView,
    PullFacts,
    RepositoryView,
    Wishes,
    wishes_for_branch,
    wishes_for_pull,
)
from stagedoor.config import Config, ConfigInvalid, default_config, parse_config

log = structlog.get_logger(__name__)

CONFIG_FILE = "stagedoor.toml"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of GitHub, and which question of this source it is."""

    source_id: int
    number: int
    generation: int
    kind: SourceKind
    ref: str
    repository: Repository
    closed: bool  # the repository was removed: nothing can be asked, nothing is wanted
    grants: tuple[GrantView, ...]
    existing_apps: frozenset[str]
    asked: tuple[Word, ...] = ()
    granted: tuple[Word, ...] = ()
    denied: str = ""  # why the last word on a fork did not count, if its author may hear that
    fork_synth: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What GitHub said, and what follows from it."""

    wishes: Wishes
    open: bool | None = None  # None: GitHub did not say
    head_sha: str | None = None
    title: str = ""
    cause: str = ""
    verdicts: tuple[Verdict, ...] = ()


def resolve(sessions: Sessions, github: GitHubClients, source_id: int, *, fork_synth: bool = False) -> None:
    """Bring the intents of a source's stages up to date with GitHub. `fork_synth`: the service itself may run the code
    of a fork that was approved.

    Whatever it raises (`GitHubUnavailable`, what GitHub refuses, what the database does not take), the source is left
    behind, with the time in its row before which it is not asked again. How often it failed is forgotten only when
    GitHub has been told, too: an answer that cannot be passed on is no reason to ask again every few seconds.
    """
    question = replace(_begin(sessions, source_id), fork_synth=fork_synth)
    try:
        _write(sessions, question, _ask(github, question))
    except Exception as trouble:
        _put_off(sessions, question, trouble.retry_at if isinstance(trouble, GitHubUnavailable) else None)
        raise


def _begin(sessions: Sessions, source_id: int) -> Question:
    with sessions.begin() as session:
        source = session.scalars(select(Source).where(Source.id == source_id).with_for_update()).one()
        source.reads_begun += 1
        repository = source.repository
        installation = repository.installation
        existing = session.scalars(
            select(App.name)
            .join(Stage, Stage.app_id == App.id)
            .join(Intent, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation))
            .where(Stage.source_id == source_id, Intent.want != Want.GONE)
        )
        return Question(
            source_id=source.id,
            number=source.reads_begun,
            generation=source.generation,
            kind=source.kind,
            ref=source.ref,
            repository=_with_installation(repository),
            closed=repository.removed_at is not None or installation is None or installation.removed_at is not None,
            grants=_grants(session, repository.host_id),
            existing_apps=frozenset(existing),
            asked=words(session, source_id, ApprovalState.ASKED),
            granted=words(session, source_id, ApprovalState.GRANTED),
            denied=last_denied(session, source_id),
        )


def _with_installation(repository: Repository) -> Repository:
    """Load what the client will read of the row after the session is gone."""
    _ = repository.host, repository.installation
    return repository


def _grants(session: Session, host_id: int) -> tuple[GrantView, ...]:
    rows = session.execute(
        select(Grant, TargetRow)
        .join(TargetRow, Grant.target_id == TargetRow.id)
        .where((Grant.host_id == host_id) | Grant.host_id.is_(None))
    )
    return tuple(
        GrantView(target.id, target.name, target.trust, grant.repository, grant.app, grant.stage)
        for grant, target in rows
    )


def _ask(github: GitHubClients, question: Question) -> Answer:
    if question.closed:
        return Answer(Wishes(), cause="uninstalled")
    installation = question.repository.installation
    if installation is not None and installation.suspended_at is not None:
        return Answer(Wishes(keep_others=True), cause="suspended")
    client = github.for_repository(question.repository)
    try:
        if question.kind is SourceKind.PULL:
            return _ask_for_pull(client, question)
        return _ask_for_branch(client, question)
    except InstallationGone as gone:
        # Its webhook will say whether for good; until then what is there stays as it is.
        log.warning("the App may not act on a repository", source_id=question.source_id, reason=str(gone))
        return Answer(Wishes(keep_others=True), cause="suspended")


def _ask_for_pull(client: RepositoryClient, question: Question) -> Answer:
    pull = client.pull(int(question.ref))
    if pull is None:
        return Answer(Wishes(), open=False, cause="closed")
    if not pull.open:
        cause = "merged" if pull.merged else "closed"
        return Answer(Wishes(), open=False, head_sha=pull.head_sha, title=pull.title, cause=cause)
    from_fork = pull.head_repository_id != question.repository.github_id
    config = _config(client, pull.base_ref, pull.head_sha)
    verdicts = judged(question.asked, pull.head_sha if from_fork else None, client.permission)
    approval = approval_of((*question.granted, *granted_in(verdicts)), pull) if from_fork else None
    needs_paths = isinstance(config, Config) and any(app.paths or app.path != "." for app in config.apps.values())
    facts = PullFacts(
        number=pull.number,
        open=True,
        draft=pull.draft,
        labels=pull.labels,
        head_sha=pull.head_sha,
        from_fork=from_fork,
        changed_paths=client.changed_paths(pull.number) if needs_paths else None,
        approval=approval,
        denied=verdicts[-1].said if verdicts else question.denied,
    )
    wishes = wishes_for_pull(_view(question, config), facts)
    cause = "approved" if approval else "pushed"
    return Answer(wishes, open=True, head_sha=pull.head_sha, title=pull.title, cause=cause, verdicts=verdicts)


def _ask_for_branch(client: RepositoryClient, question: Question) -> Answer:
    branch = client.branch(question.ref)
    if branch is None:
        return Answer(Wishes(), open=False, cause="deleted")
    config = _config(client, question.ref, branch.sha)
    wishes = wishes_for_branch(_view(question, config), BranchFacts(branch.name, branch.sha))
    return Answer(wishes, open=True, head_sha=branch.sha, title=branch.name, cause="pushed")


def _config(client: RepositoryClient, base: str, head: str) -> Config | ConfigInvalid | None:
    """Read the configuration from the base, which no pull request can change; without one, look for a cdk.json."""
    text = client.file(CONFIG_FILE, base)
    if text is None:
        return default_config(client.file("cdk.json", head) is not None)
    try:
        return parse_config(text, CONFIG_FILE)
    except ConfigInvalid as error:
        return error


def _view(question: Question, config: Config | ConfigInvalid | None) -> RepositoryView:
    return RepositoryView(
        question.repository.full_name, config, question.grants, question.existing_apps, question.fork_synth
    )


def _write(sessions: Sessions, question: Question, answer: Answer) -> None:
    with sessions.begin() as session:
        source = session.scalars(select(Source).where(Source.id == question.source_id).with_for_update()).one()
        if source.read_written > question.number:
            return
        again = source.done_generation < source.rerun_generation <= question.generation
        workflow_ended = source.done_generation < source.workflow_generation <= question.generation
        source.read_written = question.number
        source.done_generation = max(source.done_generation, question.generation)
        source.not_before = None
        source.open = source.open if answer.open is None else answer.open
        source.head_sha = answer.head_sha or source.head_sha
        source.title = plain(answer.title) or source.title
        source.note = answer.wishes.note.as_json() if answer.wishes.note else None
        source.updated_at = now(session)
        apply_wishes(session, source, answer.wishes, cause=answer.cause, again=again)
        write_verdicts(session, source, answer.verdicts)
        if workflow_ended:
            wake_for_workflow(session, source)


def _put_off(sessions: Sessions, question: Question, retry_at: datetime | None) -> None:
    with sessions.begin() as session:
        source = session.scalars(select(Source).where(Source.id == question.source_id).with_for_update()).one()
        source.attempts += 1
        source.not_before = retry_at or now(session) + retry_after(source.attempts)
