"""One run: bring a stage to a commit or an assembly, or take it away.

Deploying holds the target's roles and never runs repository code: `stage_assembly.py` has made the assembly before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.github.client import GitHubClients
from service.parts import Parts
from service.stages.job import Job
from service.stages.repository_code import cache_of
from service.stages.stage_assembly import phase, stage_assembly
from stagedoor.assembly.model import Finding
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.functions import StageFunction, read_functions
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.publishing.published import PublishedFiles
from stagedoor.deploy.remove import Kept, remove
from stagedoor.deploy.stage_values import check_secrets, forget_values
from stagedoor.deploy.swapping.drift import Drifts
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.events import Emit


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
    """Take the stage to what the job wants; `still_wanted` and `check` as in `stage_assembly`. `drifts` is where
    hotswaps are written down; a stage that is to last has none. The run's folder is left to the caller.

    Raises `Waiting` where a workflow has not left its assembly yet.
    """
    with stage_assembly(job, parts, github, emit, still_wanted, check) as made:
        clients = _clients(job, ledger)
        check_secrets(made.own, job.identity, clients, emit)
        deployed = deploy(
            made.rewritten.assembly,
            job.identity,
            clients,
            ledger,
            emit,
            job.known,
            PublishedFiles(cache_of(parts.settings) / job.target.trust.value / "published"),
            before_apply=made.before_apply,
            check=check,
            hotswaps=Hotswaps(drifts, allowed=job.identity.disposable),
        )
        functions = read_functions(made.rewritten.functions, made.rewritten.assembly, deployed.stacks, clients)
        new = made.own.directory if made.is_new else None
        return Result(deployed.outputs, deployed.stacks, deployed.unchanged, made.rewritten.findings, functions, new)


def remove_stage(job: Job, ledger: Ledger, emit: Emit) -> Sequence[Kept]:
    """Take the stage away with what the database and its tags say, without its repository; return what was kept."""
    with phase("remove", emit):
        clients = _clients(job, ledger)
        removed = remove(job.identity, clients, ledger, emit, job.known)
        forget_values(job.identity, clients, emit)
        return removed.kept


def _clients(job: Job, ledger: Ledger) -> Clients:
    return Clients(job.target, before_change=ledger.check, user_agent=job.user_agent)
