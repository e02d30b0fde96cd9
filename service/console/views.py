"""`/` lists stages, `/stages/<id>` its runs, `/runs/<id>` a run with its log, `/plans/<id>` a plan."""

from collections import deque
from typing import Any

from flask import Blueprint, Response, abort, render_template, request
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from service.console.access import REALM, may_read
from service.models import App, Intent, PlanRow, Run, RunStep, Source, SourceKind, Stage
from service.parts import current_parts
from service.stages.journal import read_events
from service.stages.plans import read_plan
from stagedoor.deploy.plan_document import plan_from_json
from stagedoor.deploy.plan_tree import plan_text, summary

blueprint = Blueprint(
    "console", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
)

RUNS_SHOWN = 50
STAGES_SHOWN = 200
EVENTS_SHOWN = 5000
_LOOK_AGAIN_SECONDS = 2
_STAGE_OF_PLAN = joinedload(PlanRow.stage).joinedload(Stage.app).joinedload(App.repository)


@blueprint.before_request
def _let_in() -> Response | None:
    settings = current_parts().settings
    if may_read(settings, request.headers):
        return None
    if not settings.console_password.get_secret_value():
        return Response(
            "Pages are off. Set STAGEDOOR_CONSOLE_PASSWORD to read them from another machine.\n",
            403,
            content_type="text/plain",
        )
    return Response("A password is needed.\n", 401, {"WWW-Authenticate": REALM}, content_type="text/plain")


@blueprint.after_request
def _protect(response: Response) -> Response:
    """Pages show an app's own words; nothing in them may run, be framed or be kept."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@blueprint.get("/")
def stages() -> str:
    """List the stages, those that something happened to last first."""
    with current_parts().sessions() as session:
        newest = select(func.max(Run.id)).where(Run.stage_id == Stage.id).correlate(Stage).scalar_subquery()
        rows = session.execute(
            select(Stage, Run, Intent)
            .join(Run, Run.id == newest, isouter=True)
            .join(Intent, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation), isouter=True)
            .options(
                joinedload(Stage.app).joinedload(App.repository),
                joinedload(Stage.source),
                joinedload(Stage.target),
            )
            .order_by(Stage.last_activity_at.desc())
            .limit(STAGES_SHOWN)
        ).all()
        return render_template("stages.html", rows=rows, source_url=_source_url)


@blueprint.get("/stages/<int:stage_id>")
def stage(stage_id: int) -> str:
    """Show a stage: where it is, its outputs, its runs."""
    with current_parts().sessions() as session:
        found = session.get(Stage, stage_id)
        if found is None:
            abort(404)
        runs = session.scalars(
            select(Run)
            .where(Run.stage_id == stage_id)
            .options(joinedload(Run.intent))
            .order_by(Run.id.desc())
            .limit(RUNS_SHOWN)
        ).all()
        return render_template("stage.html", stage=found, runs=runs, source_url=_source_url)


@blueprint.get("/runs/<int:run_id>")
def run(run_id: int) -> str:
    """Show a run; while it is under way, the page follows its log."""
    parts = current_parts()
    with parts.sessions() as session:
        found = session.get(Run, run_id)
        if found is None:
            abort(404)
    # Read before the rows and outside of their transaction: the store may be a bucket, and the page may say that the
    # run is over only when it shows all of its log.
    is_over = found.outcome is not None
    last, events, left_out = "", deque[dict[str, Any]](maxlen=EVENTS_SHOWN), 0
    for key, chunk in read_events(parts.blobs, run_id):
        last = key
        left_out += max(0, len(events) + len(chunk) - EVENTS_SHOWN)
        events.extend(chunk)
    with parts.sessions() as session:
        found = session.get_one(Run, run_id)
        steps = session.scalars(select(RunStep).where(RunStep.run_id == run_id).order_by(RunStep.id)).all()
        log = {"events": events, "left_out": left_out, "last": last, "is_over": is_over}
        return render_template("run.html", run=found, steps=steps, log=log, source_url=_source_url)


@blueprint.get("/plans/<int:plan_id>")
def plan(plan_id: int) -> Response:
    """Show a plan as `stagedoor diff` does; the page is loaded again until it is made."""
    parts = current_parts()
    with parts.sessions() as session:
        found = session.get(PlanRow, plan_id, options=[_STAGE_OF_PLAN])
        if found is None:
            abort(404)
        text = sentence = ""
        if (whole := read_plan(parts.blobs, found)) is not None:
            said = plan_from_json(whole)
            text, sentence = plan_text(said), "Nothing would change." if said.unchanged else summary(said)
        page = Response(render_template("plan.html", plan=found, text=text, sentence=sentence))
    if found.outcome is None:
        page.headers["Refresh"] = str(_LOOK_AGAIN_SECONDS)
    return page


@blueprint.app_template_filter("when")
def when(moment: Any) -> str:
    """Write a point in time for people, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def _source_url(source: Source | None) -> str:
    """Return the pull request's or branch's page on GitHub."""
    if source is None:
        return ""
    base = f"{source.repository.host.web_url}/{source.repository.full_name}"
    return f"{base}/pull/{source.ref}" if source.kind is SourceKind.PULL else f"{base}/tree/{source.ref}"
