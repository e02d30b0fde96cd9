"""Make a plan that somebody asked for: the phases of a run up to what a deploy would do, which is not done."""

import json

import structlog

from service.github.client import GitHubClients
from service.models import Outcome
from service.parts import Parts
from service.stages.artifact import Waiting
from service.stages.drifts import DriftsToRead
from service.stages.failure import failure_of
from service.stages.job import Job
from service.stages.journal import Journal
from service.stages.lease import Heartbeat, holder_name
from service.stages.leftovers import remove_folder, work_folder
from service.stages.plans import MOST_ATTEMPTS, Claim, blobs_of_plan, claim, events_of_plan
from service.stages.stage_assembly import phase, stage_assembly
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.insides import compared
from stagedoor.deploy.plan import Plan
from stagedoor.deploy.plan_json import plan_as_json
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.errors import Cancelled, LeaseLost
from stagedoor.events import Emit, Event

log = structlog.get_logger(__name__)

_GIVEN_UP = f"It was tried {MOST_ATTEMPTS} times. Ask for it again; whoever operates Stagedoor finds more in the log."
_LOST = {
    "id": "plan-lost",
    "what": "Each process that made the plan died over it.",
    "remedy": "Ask for it again; whoever operates Stagedoor finds more in the log.",
    "detail": "",
    "location": None,
}


def make_plan(parts: Parts, github: GitHubClients, plan_id: int) -> None:
    """Make a plan, unless it is made or somebody makes it. Ends without an exception whatever happens to it."""
    claimed = claim(parts, plan_id, holder_name())
    if claimed is None:
        return
    structlog.contextvars.bind_contextvars(plan_id=plan_id)
    try:
        with Heartbeat(claimed, parts.settings.heartbeat_seconds):
            _make(parts, github, claimed)
    except (LeaseLost, Cancelled):
        log.info("a plan is not wanted any more, or somebody else makes it")
    finally:
        remove_folder(work_folder(parts.settings, claimed.work))
        structlog.contextvars.unbind_contextvars("plan_id")


def _make(parts: Parts, github: GitHubClients, claimed: Claim) -> None:
    if claimed.attempts > MOST_ATTEMPTS:
        claimed.finish(Outcome.LOST, error=_LOST)
        return
    job = claimed.job()
    log.info("plan begins", stage_id=job.stage_id, commit=job.commit)

    def on_phase(event: Event) -> None:
        claimed.note_phase(event.subject)

    try:
        prefix = events_of_plan(claimed.plan_id)
        with Journal(parts.blobs, prefix, on_phase, goes_on=True) as journal:
            plan = _planned(job, parts, github, claimed, journal.emit)
        blob = f"{blobs_of_plan(claimed.plan_id)}plan.json"
        parts.blobs.put(blob, json.dumps(plan_as_json(plan), ensure_ascii=False).encode())
        claimed.finish(Outcome.UNCHANGED if plan.unchanged else Outcome.SUCCEEDED, blob=blob)
    except (LeaseLost, Cancelled):
        raise
    except Waiting as waiting:
        log.info("plan waits", reason=waiting.reason)
        claimed.wait_for(waiting.reason, parts.settings.workflow_look_seconds)
    except Exception as error:
        outcome, told = failure_of(error)
        log.info("plan failed", outcome=outcome, error=told["id"])
        if outcome is Outcome.ERRORED and claimed.attempts < MOST_ATTEMPTS:
            claimed.try_again(parts.settings.retry_seconds)
        else:
            given_up = {"remedy": _GIVEN_UP} if outcome is Outcome.ERRORED else {}
            claimed.finish(outcome, error={**told, **given_up})


def _planned(job: Job, parts: Parts, github: GitHubClients, claimed: Claim, emit: Emit) -> Plan:
    def watched(event: Event) -> None:
        emit(event)
        claimed.check()

    clients = Clients(job.target, before_change=_change_nothing, user_agent=job.user_agent)
    with stage_assembly(job, parts, github, watched, claimed.look, claimed.check) as made:
        with phase("plan", watched):
            folder = work_folder(parts.settings, job.name) / "addressed"
            hotswaps = Hotswaps(DriftsToRead(parts.sessions, job.stage_id), allowed=job.identity.disposable)
            plan = compared(made.rewritten.assembly, job.identity, clients, job.known, hotswaps, folder)
        made.before_apply()
        return plan


def _change_nothing() -> None:
    raise PermissionError("a plan is to change nothing")
