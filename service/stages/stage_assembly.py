"""A stage's own assembly: fetch, synth, inspect; or one that is kept, or that a workflow left, which needs no synth.

Each phase has an identity of its own: fetch holds a token for one repository, synth holds nothing. Wherever an assembly
comes from, it is looked at as hostile input, and made the stage's own.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from service.github.client import GitHubClients
from service.github.escape import redact
from service.models import SourceKind, Want
from service.parts import Parts
from service.stages.artifact import Artifact, check_made_for, download, look_for
from service.stages.assemblies import fetch_assembly
from service.stages.context import ContextTable
from service.stages.errors import LookupNotMerged, NoAssembly
from service.stages.fetch import fetch_commit
from service.stages.job import Job
from service.stages.lease import elapsed
from service.stages.leftovers import work_folder
from service.stages.repository_code import RepositoryCode, cache_of
from stagedoor.assembly.annotations import shown
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly, Finding, Level, Rewritten
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.apply import nothing_to_wait_for
from stagedoor.deploy.clients import Clients
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.live.bridges import bridges_for
from stagedoor.naming import parameter_folder
from stagedoor.synth.context.lookup import Account, synthesize_with_context
from stagedoor.synth.context.providers import ClientOf
from stagedoor.synth.synthesis import SynthRequest


class AppPathOutside(UserError):
    """The app's path leads out of the repository through a link."""

    id = "app-path-outside"


@dataclass(frozen=True, slots=True)
class StageAssembly:
    """An assembly as its app wrote it, and as the stage has it. `before_apply` waits until its templates are valid, or
    raises; `is_new`: it is none that was kept.
    """

    own: Assembly
    rewritten: Rewritten
    before_apply: Callable[[], None]
    is_new: bool


@contextmanager
def stage_assembly(
    job: Job,
    parts: Parts,
    github: GitHubClients,
    emit: Emit,
    still_wanted: Callable[[], None],
    check: Callable[[], None],
) -> Iterator[StageAssembly]:
    """Make the assembly that the job wants, in the job's folder, which is left to the caller. `still_wanted` is asked
    between phases and raises to end it; `check`, which must cost little, many times a second while the app's program
    says nothing.

    Raises `Waiting` where a workflow has not left its assembly yet.
    """
    work = work_folder(parts.settings, job.name)
    with ExitStack() as ends:
        before_apply: Callable[[], None] = nothing_to_wait_for
        if job.want is Want.ASSEMBLY:
            with phase("fetch", emit):
                own = _kept(job, parts, work)
        elif job.from_actions:
            still_wanted()
            found = look_for(_wanted_artifact(job, parts), github.workflows_of(job.repository))
            with phase("fetch", emit):
                directory = download(found, github.workflows_of(job.repository), work, job.limits, check)
                own = read_assembly(directory)
                check_made_for(own.made_for, job.identity.stage)
        else:
            code = ends.enter_context(RepositoryCode(parts, job.code_trust, check))
            with phase("fetch", emit):
                tree = _fetch(job, github, work / "tree", emit)
            still_wanted()
            with phase("synth", emit):
                own = _synth(job, parts, tree, work, emit, code)
                code.validate(own)

            def before_apply() -> None:
                code.before_apply(emit)

        with phase("inspect", emit):
            rewritten = _inspect(own, job, parts, work, emit)
        still_wanted()
        yield StageAssembly(own, rewritten, before_apply, job.want is not Want.ASSEMBLY)


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
    if job.commit is None:
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
        trust=job.code_trust,
        command=job.settings.get("command"),
        root=tree,
        remember=bool(job.settings.get("cache", True)),
        parameters=parameter_folder(job.identity.app, job.identity.repository),
        lasting=not job.identity.disposable,
    )
    clients = Clients(job.target, user_agent=job.user_agent)
    return synthesize_with_context(
        request,
        lambda asked: code.synthesize(asked, emit),
        Account(job.target, _refuse_lookup(job) if _looks_unmerged(job) else clients.lookup, judges_request),
        ContextTable(parts.sessions, job.target_id, job.app_id, job.target.trust),
        emit,
    )


def _looks_unmerged(job: Job) -> bool:
    """Tell whether the code is a stranger's to the account that it would look into."""
    return job.code_trust is not job.target.trust


def _refuse_lookup(job: Job) -> ClientOf:
    def refuse(_service: Any) -> NoReturn:
        raise LookupNotMerged(
            f"The app looks something up in the account of the stage {job.identity.stage} that was not looked up for "
            "it before, and for a commit that is not merged nothing is.",
            "Commit cdk.context.json with the value, or merge the commit: then it is looked up.",
        )

    return refuse


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
