"""What GitHub should show: a pure decision on a picture of the database."""

from collections.abc import Iterable, Iterator

from service.github import messages
from service.github.escape import code, inline, is_web_address
from service.github.messages import CHECK_TITLES, StageState
from service.github.picture import Picture, RunFacts, StageFacts, deployment_key
from service.github.report import (
    Problem,
    PullReport,
    StageReport,
    Warned,
    comment_body,
    commit_link,
    errors_list,
    failure_text,
    marker,
)
from service.github.statements import (
    DESCRIPTION_LIMIT,
    Annotation,
    Check,
    CheckStatus,
    Comment,
    Conclusion,
    Deployment,
    DeploymentState,
    Statement,
)
from service.models import Outcome, RunKind, SourceKind, Want

COMMENT = "comment"
NOTE_CHECK = "*"  # stands for all apps; no app has this name
ANNOTATIONS_LIMIT = 50
FAILING_NOTES = {"config-invalid", "target-not-granted", "target-ambiguous"}
_NEVER_LINKED = "github."

_CHECKS = {
    StageState.QUEUED: (CheckStatus.QUEUED, None),
    StageState.WAITING: (CheckStatus.QUEUED, None),
    StageState.DEPLOYING: (CheckStatus.IN_PROGRESS, None),
    StageState.RETRYING: (CheckStatus.IN_PROGRESS, None),
    StageState.LIVE: (CheckStatus.COMPLETED, Conclusion.SUCCESS),
    StageState.FAILED: (CheckStatus.COMPLETED, Conclusion.FAILURE),
    StageState.CANCELLED: (CheckStatus.COMPLETED, Conclusion.CANCELLED),
}


def statements(picture: Picture, public_url: str) -> dict[str, tuple[int | None, Statement]]:
    """Return all that GitHub should show, by the key under which it is remembered, with the stage that it is about.

    `public_url` is where people reach the service.
    """
    wanted: dict[str, tuple[int | None, Statement]] = {}
    if comment := _comment(picture, public_url):
        wanted[COMMENT] = (None, comment)
    for stage in picture.stages:
        if check := _check(picture, stage, public_url):
            wanted[_check_key(stage.app, check.head_sha)] = (stage.id, check)
        for generation, deployment in _deployments(picture, stage, public_url):
            wanted[deployment_key(stage.app, generation)] = (stage.id, deployment)
    if note := _note_check(picture, public_url):
        wanted[_check_key(NOTE_CHECK, note.head_sha)] = (None, note)
    for key, check in _outdated_checks(picture, public_url):
        wanted.setdefault(key, (picture.told[key].stage_id, check))
    return wanted


def state_of(stage: StageFacts) -> StageState:
    """Return how a stage is, as its author sees it."""
    run = stage.newest
    if stage.want is Want.GONE:
        return _state_of_removal(stage, run)
    if run is None or run.outcome in {Outcome.SUPERSEDED, Outcome.LOST}:
        return StageState.QUEUED
    if run.outcome is Outcome.ERRORED:
        return StageState.RETRYING if stage.done_generation < stage.wanted_generation else StageState.FAILED
    return {
        None: StageState.WAITING if run.blocked_reason else StageState.DEPLOYING,
        Outcome.SUCCEEDED: StageState.LIVE,
        Outcome.UNCHANGED: StageState.LIVE,
        Outcome.FAILED: StageState.FAILED,
        Outcome.CANCELLED: StageState.CANCELLED,
    }[run.outcome]


def _state_of_removal(stage: StageFacts, run: RunFacts | None) -> StageState:
    if run and run.outcome is Outcome.FAILED:
        return StageState.REMOVE_FAILED
    if stage.done_generation < stage.wanted_generation:
        return StageState.REMOVING
    # A protected stage stays although nobody wants it.
    return StageState.LIVE if stage.live_commit else StageState.REMOVED


def stage_report(stage: StageFacts, public_url: str, head_sha: str = "") -> StageReport:
    """Return what the comment says of a stage; `head_sha` is its source's newest commit."""
    run = stage.newest
    return StageReport(
        app=stage.app,
        stage=stage.name,
        state=state_of(stage),
        commit=stage.commit,
        live_commit=stage.live_commit,
        url=url_of(stage.outputs) if stage.live_commit else "",
        outputs=stage.outputs if stage.live_commit else (),
        seconds=run.seconds if run else None,
        run_url=f"{public_url}/runs/{run.id}" if run else "",
        problem=Problem.of(run.error) if run and run.error else None,
        warnings=tuple(Warned.of(row) for row in run.warnings) if run else (),
        hotswapped=run is not None and run.hotswapped,
        why=_why(stage, head_sha),
        waits_for=run.blocked_reason if run else "",
    )


def is_held(stage: StageFacts, head_sha: str) -> bool:
    """Tell whether somebody asked for something else than the newest commit of the stage's source."""
    if stage.want is Want.ASSEMBLY:
        return True
    return stage.want is Want.COMMIT and bool(stage.actor and head_sha) and stage.commit != head_sha


def _why(stage: StageFacts, head_sha: str) -> str:
    actor = inline(stage.actor or "somebody")
    if stage.want is Want.GONE:
        return messages.removed_on_request(actor) if stage.actor else ""
    if is_held(stage, head_sha):
        return messages.held(stage.cause, actor)
    return messages.approved(inline(stage.approved_by), code(stage.approved[:12])) if stage.approved_by else ""


def _comment(picture: Picture, public_url: str) -> Comment | None:
    silent = not picture.stages and picture.note is None and COMMENT not in picture.told
    if picture.kind is not SourceKind.PULL or silent:
        return None
    mark = marker(picture.service, picture.source_id)
    report = PullReport(
        marker=mark,
        web_url=picture.web_url,
        stages=tuple(stage_report(stage, public_url, picture.head_sha) for stage in picture.stages),
        note=Problem.of(picture.note) if picture.note else None,
        note_errors=_note_errors(picture),
    )
    return Comment(mark, comment_body(report))


# --- Check runs -------------------------------------------------------------------------------------------------------


def _check_key(app: str, sha: str) -> str:
    return f"check:{app}:{sha}"


def _external_id(picture: Picture, app: str) -> str:
    return f"{picture.service}:{picture.source_id}:{app}"


def _check(picture: Picture, stage: StageFacts, public_url: str) -> Check | None:
    state = state_of(stage)
    held = is_held(stage, picture.head_sha)
    # A check stands on a commit: what else is wanted is told on the newest one.
    sha = (picture.head_sha if held else "") or stage.commit
    if stage.want is Want.GONE or state not in _CHECKS or not sha:
        return None
    status, conclusion = _CHECKS[state]
    if held and state is StageState.LIVE:
        conclusion = Conclusion.NEUTRAL
    run = stage.newest if state is not StageState.QUEUED else None
    problem = Problem.of(run.error) if run and run.error else None
    told = picture.told.get(_check_key(stage.app, sha))
    ended = told is not None and told.state == CheckStatus.COMPLETED
    return Check(
        name=f"{messages.NAME} / {stage.app}",
        head_sha=sha,
        external_id=_external_id(picture, stage.app),
        details_url=_details_url(stage, public_url),
        status=status,
        conclusion=conclusion,
        title=messages.HELD_CHECK_TITLE if held and state is StageState.LIVE else CHECK_TITLES[state],
        summary=_check_summary(picture, stage, state, problem),
        annotations=_annotations([problem] if problem and problem.path and not ended else []),
        started_at=run.started_at if run else None,
        completed_at=run.finished_at if run and status is CheckStatus.COMPLETED else None,
    )


def _check_summary(picture: Picture, stage: StageFacts, state: StageState, problem: Problem | None) -> str:
    live = commit_link(picture.web_url, stage.live_commit)
    if state is StageState.WAITING and stage.newest:
        return inline(stage.newest.blocked_reason)
    why = _why(stage, picture.head_sha)
    if state is StageState.LIVE and why:
        url = url_of(stage.outputs)
        return f"{messages.live_on(code(stage.name), live)} {why}" + (f"\n\n{url}" if url else "")
    if state is StageState.LIVE:
        url = url_of(stage.outputs)
        return messages.live_on(code(stage.name), live) + (f"\n\n{url}" if url else "")
    if problem is None:
        return CHECK_TITLES[state] + "."
    return f"{failure_text(problem)}\n\n{messages.still_live(live) if stage.live_commit else messages.nothing_live()}"


def _note_check(picture: Picture, public_url: str) -> Check | None:
    key = _check_key(NOTE_CHECK, picture.head_sha)
    if not picture.head_sha or (picture.note is None and key not in picture.told):
        return None
    problem = Problem.of(picture.note) if picture.note else None
    errors = _note_errors(picture)
    failing = problem is not None and (bool(errors) or problem.id in FAILING_NOTES)
    return Check(
        name=messages.NAME,
        head_sha=picture.head_sha,
        external_id=_external_id(picture, NOTE_CHECK),
        details_url=public_url,
        status=CheckStatus.COMPLETED,
        conclusion=Conclusion.FAILURE if failing else Conclusion.NEUTRAL,
        title=messages.NO_PREVIEW_CHECK_TITLE if problem else messages.NOTE_GONE_CHECK_TITLE,
        summary="\n\n".join([failure_text(problem), *errors_list(errors)]) if problem else messages.note_gone(),
        annotations=_annotations(errors),
    )


def _outdated_checks(picture: Picture, public_url: str) -> Iterator[tuple[str, Check]]:
    """Yield an end for each check run that was told to be under way and is not wanted any more."""
    for key in picture.told:
        kind, _, rest = key.partition(":")
        app, _, sha = rest.rpartition(":")
        if kind != "check" or picture.told[key].state in {CheckStatus.COMPLETED, "refused"}:
            continue
        yield (
            key,
            Check(
                name=f"{messages.NAME} / {app}",
                head_sha=sha,
                external_id=_external_id(picture, app),
                details_url=public_url,
                status=CheckStatus.COMPLETED,
                conclusion=Conclusion.CANCELLED,
                title=messages.OUTDATED_CHECK_TITLE,
                summary=messages.superseded(),
            ),
        )


def _annotations(problems: list[Problem] | tuple[Problem, ...]) -> tuple[Annotation, ...]:
    return tuple(
        Annotation(problem.path, problem.line, problem.what[:255] or messages.NAME, problem.remedy or problem.what)
        for problem in problems[:ANNOTATIONS_LIMIT]
    )


def _note_errors(picture: Picture) -> tuple[Problem, ...]:
    return tuple(Problem.of(error) for error in (picture.note or {}).get("errors", ()))


# --- Deployments ------------------------------------------------------------------------------------------------------


def _deployments(picture: Picture, stage: StageFacts, public_url: str) -> Iterator[tuple[int, Deployment]]:
    """Yield a deployment for each generation that GitHub shows as alive, or should."""
    deploys = [run for run in stage.runs if run.kind is RunKind.DEPLOY and run.commit and not run.blocked_reason]
    for run in deploys:
        state = _deployment_state(stage, run, deploys[-1])
        known = picture.told.get(deployment_key(stage.app, run.generation))
        if state is DeploymentState.INACTIVE and (known is None or known.state in {state, "refused"}):
            continue
        url = url_of(stage.outputs) if state is DeploymentState.SUCCESS else ""
        yield (
            run.generation,
            Deployment(
                ref=run.commit,
                environment=stage.environment,
                payload={
                    "service": picture.service,
                    "app": stage.app,
                    "stage": stage.name,
                    "generation": str(run.generation),
                },
                state=state,
                description=f"{stage.app}: {stage.name}"[:DESCRIPTION_LIMIT],
                log_url=f"{public_url}/runs/{run.id}",
                environment_url=url,
            ),
        )


def _deployment_state(stage: StageFacts, run: RunFacts, newest: RunFacts) -> DeploymentState:
    if run.outcome is None:
        return DeploymentState.IN_PROGRESS
    if stage.live_run and run.generation == stage.live_run.generation:
        return DeploymentState.SUCCESS
    if run is not newest or stage.want is Want.GONE:
        return DeploymentState.INACTIVE
    pending = stage.done_generation < stage.wanted_generation
    return {
        Outcome.FAILED: DeploymentState.FAILURE,
        Outcome.LOST: DeploymentState.IN_PROGRESS,
        Outcome.ERRORED: DeploymentState.IN_PROGRESS if pending else DeploymentState.ERROR,
    }.get(run.outcome, DeploymentState.INACTIVE)


# --- Addresses --------------------------------------------------------------------------------------------------------


def url_of(outputs: Iterable[tuple[str, str]]) -> str:
    """Return the stage's address: of the outputs shown, the first web address, those called a URL before others.

    Never one on GitHub itself: a link to somebody's issue would be noted there, in our name.
    """
    found = [(name, value) for name, value in outputs if is_web_address(value) and _NEVER_LINKED not in value.lower()]
    found.sort(key=lambda output: "url" not in output[0].lower())
    return found[0][1] if found else ""


def _details_url(stage: StageFacts, public_url: str) -> str:
    run = stage.newest
    return f"{public_url}/runs/{run.id}" if run else public_url
