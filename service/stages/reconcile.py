"""Make one stage what it should be: take it, look, act, look again, give it back."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import structlog

from service.github.client import GitHubClients
from service.github.errors import GitHubUnavailable
from service.models import Outcome, RunKind, Stage, Want
from service.parts import Parts
from service.stages.artifact import Waiting
from service.stages.assemblies import Keep, Keeper
from service.stages.decide import Action, decide
from service.stages.drifts import DatabaseDrifts
from service.stages.failure import failure_of
from service.stages.journal import Journal, events_prefix
from service.stages.lease import Heartbeat, Lease, acquire, elapsed, holder_name
from service.stages.ledger import DatabaseLedger
from service.stages.leftovers import remove_folder, work_folder
from service.stages.rows import (
    Begun,
    begin_run,
    block_run,
    close_lost_runs,
    doubt_run,
    finish_run,
    note_phase,
    refuse,
    standing,
    view_of,
)
from service.stages.run import Result, deploy_commit, remove_stage
from service.stages.sources import resolve
from service.stages.teller import Teller
from stagedoor.errors import Cancelled, LeaseLost
from stagedoor.events import Emit, Event

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0


class Superseded(Exception):
    """Something newer is wanted, and this run has not changed anything yet."""


def reconcile(parts: Parts, github: GitHubClients, stage_id: int) -> None:
    """Bring the stage to what is wanted of it, for as long as that moves on; return at once when it has a holder.

    Ends without an exception whatever happens to the run; what a retry may cure is left to the ringer.
    """
    settings = parts.settings
    lease = acquire(parts.sessions, stage_id, holder_name(), settings.lease_seconds)
    if lease is None:
        return
    with parts.sessions() as session:
        source_id = session.get_one(Stage, stage_id).source_id
    structlog.contextvars.bind_contextvars(stage_id=stage_id, fence=lease.fence)
    keeper = Keeper(parts)
    try:
        with Heartbeat(lease, settings.heartbeat_seconds), Teller(parts, github, source_id) as teller:
            close_lost_runs(lease)
            reconciler = _Reconciler(parts, github, lease, source_id, teller.poke, keeper)
            while reconciler.one_round():
                pass
        # Only now that GitHub has been told: who dies before that leaves a lease behind, for which is rung.
        lease.release()
    except LeaseLost as lost:
        log.warning("gave up: another holder has the stage", reason=str(lost))
    finally:
        keeper.wait()
        structlog.contextvars.unbind_contextvars("stage_id", "fence", "run_id")


class _Reconciler:
    """The rounds of one lease."""

    def __init__(
        self,
        parts: Parts,
        github: GitHubClients,
        lease: Lease,
        source_id: int | None,
        tell: Callable[[], None],
        keeper: Keeper,
    ) -> None:
        self._parts = parts
        self._keeper = keeper
        self._github = github
        self._lease = lease
        self._source_id = source_id
        self._tell = tell

    def one_round(self) -> bool:
        """Do the next thing; return whether to look again."""
        self._ask_github()
        view, moment = view_of(self._lease)
        action = decide(view, moment)
        log.info("decided", action=action, wanted=view.wanted_generation, done=view.done_generation)
        if action is Action.REFUSE:
            refuse(self._lease, view.wanted_generation)
            return True
        if action is Action.DEPLOY:
            return self._run(RunKind.DEPLOY)
        if action is Action.REMOVE:
            return self._run(RunKind.REMOVE)
        return False

    def _ask_github(self) -> None:
        """Re-read the pull request: webhooks come late, twice, out of order or never."""
        if self._source_id is None:
            return
        try:
            resolve(self._parts.sessions, self._github, self._source_id, fork_synth=self._parts.settings.fork_synth)
        except LeaseLost:
            raise
        except Exception as trouble:
            # A stage that is to go can go without GitHub; one that is to come will say so when it fetches.
            log.warning(
                "GitHub cannot be asked", error=str(trouble), exc_info=not isinstance(trouble, GitHubUnavailable)
            )

    def _run(self, kind: RunKind) -> bool:
        begun = begin_run(self._lease, kind)
        structlog.contextvars.bind_contextvars(run_id=begun.run.id)
        goes_on = begun.run.blocked_reason is not None
        if not goes_on:
            log.info("run begins", kind=kind, commit=begun.run.commit, generation=begun.run.generation)
            self._tell()
        try:
            prefix = events_prefix(begun.run.id)
            with Journal(
                self._parts.blobs, prefix, lambda event: self._on_phase(begun, event), goes_on=goes_on
            ) as journal:
                outcome, error, result, warnings = self._attempt(begun, journal)
            finish_run(
                self._lease,
                begun,
                outcome,
                error=error,
                result=result,
                warnings=warnings,
                first_retry_seconds=self._parts.settings.retry_seconds,
            )
            self._keep(begun, result)
        except Waiting as waiting:
            log.info("run waits", reason=waiting.reason)
            if block_run(self._lease, begun, waiting.reason, self._parts.settings.workflow_look_seconds):
                self._tell()
            return False
        except LeaseLost:
            if doubt_run(self._parts.sessions, begun.run):
                log.warning("a call may have reached AWS after the lease; the stage is looked at once more")
            raise
        finally:
            remove_folder(work_folder(self._parts.settings, begun.job.name))
        log.info("run ends", kind=kind, outcome=outcome, error=(error or {}).get("id"))
        self._tell()
        return outcome is not Outcome.ERRORED

    def _keep(self, begun: Begun, result: Result | None) -> None:
        """Have the run's assembly kept, now that the run is over and nobody waits for it."""
        if result is not None and result.assembly is not None:
            job = begun.job
            self._keeper.begin(
                begun.run.id, Keep(result.assembly, job.app_id, job.target.trust, job.commit, job.identity.stage)
            )

    def _attempt(
        self, begun: Begun, journal: Journal
    ) -> tuple[Outcome, dict[str, Any] | None, Result | None, list[Any]]:
        ledger = DatabaseLedger(self._lease, begun.run)
        try:
            if begun.run.kind is RunKind.REMOVE:
                kept = remove_stage(begun.job, ledger, journal.emit)
                return Outcome.SUCCEEDED, None, None, [asdict(one) for one in kept]
            watched = _Watched(self._lease, begun, journal.emit)
            result = deploy_commit(
                begun.job,
                self._parts,
                self._github,
                ledger,
                watched.emit,
                lambda: self._still_wanted(begun),
                watched.check,
                DatabaseDrifts(self._lease),
            )
            outcome = Outcome.UNCHANGED if result.unchanged else Outcome.SUCCEEDED
            return outcome, None, result, [asdict(finding) for finding in result.findings]
        except Superseded:
            return Outcome.SUPERSEDED, None, None, []
        except Cancelled:
            superseded = standing(self._lease, begun.run.id).wanted_generation != begun.run.generation
            return (Outcome.SUPERSEDED if superseded else Outcome.CANCELLED), None, None, []
        except (LeaseLost, Waiting):
            raise
        except Exception as error:
            outcome, told = failure_of(error)
            return outcome, told, None, []

    def _still_wanted(self, begun: Begun) -> None:
        """Re-read the pull request between phases; raise when the run should not go on."""
        self._ask_github()
        current = standing(self._lease, begun.run.id)
        if current.cancel_requested:
            raise Cancelled
        if current.wanted_generation != begun.run.generation:
            raise Superseded

    def _on_phase(self, begun: Begun, event: Event) -> None:
        note_phase(self._lease, begun.run.id, event.subject, event.seconds)
        self._tell()


class _Watched:
    """Passes a deploy's events on, and now and then looks whether it should end: when somebody asked for that, or when
    the stage is to go. A newer commit ends nothing: what is under way is finished and then gone on from.
    """

    def __init__(self, lease: Lease, begun: Begun, emit: Emit) -> None:
        self._lease = lease
        self._begun = begun
        self._emit = emit
        self._next_look = elapsed() + LOOK_SECONDS

    def emit(self, event: Event) -> None:
        """Pass an event on; raises `Cancelled` when the run should end."""
        self._emit(event)
        self.check()

    def check(self) -> None:
        """Raise `LeaseLost` when the stage is no longer ours, and `Cancelled` when the run should end."""
        self._lease.check()
        if elapsed() < self._next_look:
            return
        self._next_look = elapsed() + LOOK_SECONDS
        current = standing(self._lease, self._begun.run.id)
        if current.cancel_requested or current.want is Want.GONE:
            raise Cancelled
