"""Runs: what was done to bring a stage to what is wanted, and what was said meanwhile."""

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import Forbidden, GitHubAway, UnknownRun
from service.api.access import current_access
from service.api.answers import CancelledAnswer, EventAnswer, EventsAnswer, RequestedAnswer, RunAnswer, RunsAnswer
from service.api.bodies import EventQuery, RunQuery
from service.api.cursor import Cursor
from service.api.operation import declare
from service.api.rows import run_answer, runs_of
from service.models import App, Run, Stage
from service.parts import current_parts
from service.stages.errors import RemovalGoesOn, RunGoesOn, RunOutdated
from service.stages.journal import events_prefix, read_chunk
from service.stages.requests import cancel_run as cancel
from service.stages.requests import retry_run as retry

_READING = (Forbidden, GitHubAway, UnknownRun)


@declare("GET", "/runs", tag="runs", problems=(Forbidden, GitHubAway))
def list_runs(caller: Caller, query: RunQuery) -> RunsAnswer:
    """List the runs of a repository's stages, newest first."""
    access, parts = current_access(), current_parts()
    repository_id = access.let_into_repository(caller, query.repository, query.stage, Right.READ)
    named = {App.name: query.app, Stage.name: query.stage}
    conditions = [App.repository_id == repository_id, *(name == value for name, value in named.items() if value)]
    with parts.sessions() as session:
        found = runs_of(session, conditions, query.before, query.limit)
        runs = [run_answer(run, parts.settings.url) for run in found]
    may = {
        name: access.callers.may(caller, repository_id, name, Right.READ) for name in {run.stage_name for run in runs}
    }
    following = str(runs[-1].id) if len(runs) == query.limit else None
    return RunsAnswer(runs=[run for run in runs if may[run.stage_name]], next=following)


@declare("GET", "/runs/{run_id}", tag="runs", problems=_READING)
def get_run(caller: Caller, run_id: int) -> RunAnswer:
    """Return a run."""
    current_access().let_into_run(caller, run_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        (run,) = runs_of(session, [Run.id == run_id], None, 1)
        return run_answer(run, parts.settings.url)


@declare("GET", "/runs/{run_id}/events", tag="runs", problems=_READING)
def list_events(caller: Caller, run_id: int, query: EventQuery) -> EventsAnswer:
    """Return what a run said, oldest first.

    `next` is there on the last page of a run that goes on, too: what is said later is after it.
    """
    current_access().let_into_run(caller, run_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        # Asked before reading: what was written before the run ended is then surely read.
        over = session.get_one(Run, run_id).outcome is not None
    cursor = Cursor.of(query.after, run_id)
    events: list[EventAnswer] = []
    while (said := read_chunk(parts.blobs, events_prefix(run_id), cursor.chunk)) is not None:
        for one in said[cursor.index :]:
            if len(events) == query.limit:
                return EventsAnswer(events=events, over=False, next=str(cursor))
            cursor = cursor.after_event()
            events.append(EventAnswer(cursor=str(cursor), **one))
        cursor = cursor.next_chunk()
    return EventsAnswer(events=events, over=over, next=None if over else str(cursor))


@declare("POST", "/runs/{run_id}/cancel", tag="runs", status=202, problems=(*_READING, RemovalGoesOn))
def cancel_run(caller: Caller, run_id: int) -> CancelledAnswer:
    """Have a run end at its next safe point.

    An update that CloudFormation has begun is rolled back by CloudFormation; the stage can be deployed again.
    """
    stage_id = current_access().let_into_run(caller, run_id, Right.DEPLOY)
    with current_parts().sessions.begin() as session:
        cancelled = cancel(session, session.get_one(Run, run_id), actor=caller.name)
        audit(session, caller, "cancel", stage_id=stage_id, subject=f"run {run_id}", data={"cancelled": cancelled})
    return CancelledAnswer(run=run_id, cancelled=cancelled)


@declare("POST", "/runs/{run_id}/retry", tag="runs", status=202, problems=(*_READING, RunGoesOn, RunOutdated))
def retry_run(caller: Caller, run_id: int) -> RequestedAnswer:
    """Do once more what a run that has ended did."""
    stage_id = current_access().let_into_run(caller, run_id, Right.DEPLOY)
    with current_parts().sessions.begin() as session:
        requested = retry(session, session.get_one(Run, run_id), actor=caller.name)
        data = {"generation": requested.generation}
        audit(session, caller, "retry", stage_id=stage_id, subject=f"run {run_id}", data=data)
    return RequestedAnswer(stage=stage_id, generation=requested.generation, new=requested.new)
