"""One run: bring a stage to a commit or an assembly, phase by phase, or take it away.

Each phase has an identity of its own: fetch holds a token for one repository, synth holds nothing, deploy holds the
target's roles and never runs repository code. An assembly that is kept, or that a workflow left, needs no synth; it is
looked at like any other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from service.github.client import GitHubClients
from service.github.escape import redact
from service.models import Repository, SourceKind, Want
from service.parts import Parts
from service.stages.artifact import Artifact, check_made_for, download, look_for
from service.stages.assemblies import fetch_assembly
from service.stages.context import ContextTable
from service.stages.errors import NoAssembly
from service.stages.fetch import fetch_commit
from service.stages.lease import elapsed
from service.stages.leftovers import work_folder
from service.stages.repository_code import RepositoryCode, cache_of
from stagedoor.assembly.annotations import shown
from stagedoor.assembly.inspection import InspectionLimits, inspect_assembly
from stagedoor.assembly.model import Assembly, Finding, Level, Rewritten
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.assembly.rules import AssemblyRules
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.apply import deploy, nothing_to_wait_for
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.functions import StageFunction, read_functions
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.publishing.published import PublishedFiles
from stagedoor.deploy.remove import Kept, remove
from stagedoor.deploy.stage_values import check_secrets, forget_values
from stagedoor.deploy.swapping.drift import Drifts
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.live.bridges import bridges_for
from stagedoor.naming import StageIdentity, parameter_folder
from stagedoor.synth.context.lookup import Account, synthesize_with_context
from stagedoor.synth.synthesis import SynthRequest
from stagedoor.target import Target


class AppPathOutside(UserError):
    """The app's path leads out of the repository through a link."""

    id = "app-path-outside"


@dataclass(frozen=True, slots=True)
class Job:
    """What a run needs to know of its stage, read once under the lease."""

    run_id: int
    identity: StageIdentity
    target: Target
    repository: Repository
    commit: str | None
    settings: Mapping[str, Any]
    known: Sequence[KnownStack]
    generation: int
    rules: AssemblyRules
    limits: InspectionLimits
    app_id: int
    target_id: int
    stage_id: int
    want: Want = Want.COMMIT
    assembly_id: int | None = None
    approval: Mapping[str, Any] | None = None
    source_kind: SourceKind | None = None
    source_ref: str = ""
    waiting_since: datetime | None = None  # when the run began, by the database's clock
    moment: datetime | None = None  # and now

    @property
    def from_actions(self) -> bool:
        """Whether the assembly of the commit is made by the repository's own workflow."""
        return self.want is Want.COMMIT and self.settings.get("synth") == "actions"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a deploy: outputs by stack (by the app's own names), the stacks, what could not be made safe.

    `functions` are those of a stage with bridges. `assembly` is the directory of the app's own assembly, where the run
    got a new one.
    """

    outputs: Mapping[str, Mapping[str, str]]
    stacks: Sequence[KnownStack]
    unchanged: bool
    findings: Sequence[Finding]
    functions: Sequence[StageFunction] = ()
    assembly: Path | None = None


def deploy_commit(
    job: Job,
    parts: Parts,
    github: GitHubClients,
    ledger: Ledger,
    emit: Emit,
    still_wanted: Callable[[], None],
    check: Callable[[], None],
    drifts: Drifts,
) -> Result:
    """Take the stage to what the job wants. `still_wanted` is asked between phases and raises to end the run; `check`,
    which must cost little, many times a second while the app's program says nothing. `drifts` is where hotswaps are
    written down; a stage that is to last has none. The run's folder is left to the caller.

    Raises `Waiting` where a workflow has not left its assembly yet.
    """
    work = work_folder(parts.settings, job.run_id)
    with ExitStack() as ends:
        before_apply: Callable[[], None] = nothing_to_wait_for
        if job.want is Want.ASSEMBLY:
            with phase("fetch", emit):
                assembly = _kept(job, parts, work)
        elif job.from_actions:
            still_wanted()
            found = look_for(_wanted_artifact(job, parts), github.workflows_of(job.repository))
            with phase("fetch", emit):
                directory = download(found, github.workflows_of(job.repository), work, job.limits, check)
                assembly = read_assembly(directory)
                check_made_for(assembly.made_for, job.identity.stage)
        else:
            code = ends.enter_context(RepositoryCode(parts, job.target.trust, check))
            with phase("fetch", emit):
                tree = _fetch(job, github, work / "tree", emit)
            still_wanted()
            with phase("synth", emit):
                assembly = _synth(job, parts, tree, work, emit, code)
                code.validate(assembly)

            def before_apply() -> None:
                code.before_apply(emit)

        with phase("inspect", emit):
            rewritten = _inspect(assembly, job, parts, work, emit)
        still_wanted()
        check_secrets(assembly, job.identity, _clients(job, ledger), emit)
        deployed = deploy(
            rewritten.assembly,
            job.identity,
            _clients(job, ledger),
            ledger,
            emit,
            job.known,
            PublishedFiles(cache_of(parts.settings) / job.target.trust.value / "published"),
            before_apply=before_apply,
            check=check,
            hotswaps=Hotswaps(drifts, allowed=job.identity.disposable),
        )
        functions = read_functions(rewritten.functions, rewritten.assembly, deployed.stacks, _clients(job, ledger))
        new = None if job.want is Want.ASSEMBLY else assembly.directory
        return Result(deployed.outputs, deployed.stacks, deployed.unchanged, rewritten.findings, functions, new)


def remove_stage(job: Job, ledger: Ledger, emit: Emit) -> Sequence[Kept]:
    """Take the stage away with what the database and its tags say, without its repository; return what was kept."""
    with phase("remove", emit):
        clients = _clients(job, ledger)
        removed = remove(job.identity, clients, ledger, emit, job.known)
        forget_values(job.identity, clients, emit)
        return removed.kept


@contextmanager
def phase(name: str, emit: Emit) -> Iterator[None]:
    """Say that a phase begins, and how it ended and after how long."""
    emit(Event(EventKind.PHASE, name, "started"))
    began = elapsed()
    try:
        yield
    except BaseException:
        emit(Event(EventKind.PHASE, name, "failed", seconds=elapsed() - began))
        raise
    emit(Event(EventKind.PHASE, name, "done", seconds=elapsed() - began))


def _kept(job: Job, parts: Parts, work: Path) -> Assembly:
    work.mkdir(parents=True)
    if job.assembly_id is None:
        raise ValueError("a deploy of no assembly")
    try:
        fetch_assembly(parts, job.assembly_id, work / "assembly", job.limits)
    except KeyError:
        raise NoAssembly(
            "The assembly is not kept any more.", "Deploy the commit instead: that makes the assembly anew."
        ) from None
    return read_assembly(work / "assembly")


def _wanted_artifact(job: Job, parts: Parts) -> Artifact:
    if job.commit is None or job.waiting_since is None or job.moment is None:
        raise ValueError("a deploy of no commit")
    return Artifact(
        app=job.identity.app,
        stage=job.identity.stage,
        commit=job.commit,
        head_repository=(job.approval or {}).get("head_repository") or job.repository.github_id,
        branch=job.source_ref if job.source_kind is SourceKind.BRANCH else None,
        waited=job.moment - job.waiting_since,
        patience=timedelta(seconds=parts.settings.workflow_seconds),
    )


def _fetch(job: Job, github: GitHubClients, folder: Path, emit: Emit) -> Path:
    if job.commit is None:
        raise ValueError("a deploy of no commit")
    if urlsplit(job.repository.clone_url).scheme not in {"https", "http"}:
        raise ValueError(f"a clone URL that is not HTTP: {job.repository.clone_url!r}")
    token = github.for_repository(job.repository).fetch_token()
    return fetch_commit(job.repository.clone_url, job.commit, token, folder, emit)


def _synth(job: Job, parts: Parts, tree: Path, work: Path, emit: Emit, code: RepositoryCode) -> Assembly:
    app = (tree / str(job.settings.get("path") or ".")).resolve()
    if not app.is_relative_to(tree.resolve()) or not app.is_dir():
        raise AppPathOutside(
            f"There is no folder {job.settings.get('path')!r} in the repository at {str(job.commit)[:12]}.",
            "Put the app's path right in stagedoor.toml on the base branch.",
        )
    request = SynthRequest(
        app_dir=app,
        output=work / "cdk.out",
        stage=job.identity.stage,
        account=job.target.account,
        region=job.target.region,
        cache_dir=cache_of(parts.settings),
        trust=job.target.trust,
        command=job.settings.get("command"),
        root=tree,
        remember=bool(job.settings.get("cache", True)),
        parameters=parameter_folder(job.identity.app, job.identity.repository),
        lasting=not job.identity.disposable,
    )
    clients = Clients(job.target, user_agent=f"stagedoor-run/{job.run_id}")
    return synthesize_with_context(
        request,
        lambda asked: code.synthesize(asked, emit),
        Account(job.target, clients.lookup, judges_request),
        ContextTable(parts.sessions, job.target_id, job.app_id, job.target.trust),
        emit,
    )


def _inspect(assembly: Assembly, job: Job, parts: Parts, work: Path, emit: Emit) -> Rewritten:
    """Return the stage's own assembly, with what the app itself warns of before what rewriting found."""
    inspect_assembly(assembly, job.target, job.limits, job.rules)
    for said in shown(assembly.annotations, Level.NOTE):
        emit(Event(EventKind.LOG, said.construct_path, message=said.message))
    live = job.settings.get("live")
    bridges = None if live is None else bridges_for(parts.settings.url, str(job.stage_id), live)
    rewritten = rewrite_assembly(assembly, job.identity, job.target, work / "stage.out", bridges)
    warnings = shown(assembly.annotations, Level.WARNING)
    told = (Finding("", "", redact(said.construct_path), redact(said.message), "") for said in warnings)
    findings = (*told, *rewritten.findings)
    for finding in findings:
        message = f"{finding.what} {finding.remedy}".rstrip()
        emit(Event(EventKind.WARNING, finding.construct_path, message=message))
    return replace(rewritten, findings=findings)


def _clients(job: Job, ledger: Ledger) -> Clients:
    return Clients(
        job.target,
        before_change=ledger.check,
        user_agent=f"stagedoor-run/{job.run_id} stagedoor-generation/{job.generation}",
    )
