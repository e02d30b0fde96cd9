"""Where a workflow makes the assembly, a run waits for it, takes it, and says what came of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.app import create_app
from service.github.workflows import WorkflowRun
from service.models import AssemblyRow, Intent, Run, Stage
from service.stages.artifact import Artifact, counting, look_for
from service.stages.journal import read_events
from service.stages.requests import cancel_run, request_deploy
from tests.service.rows import T0
from tests.service.stages.conftest import House
from tests.service.stages.packed import artifact

CONFIG = '[apps.tiny]\nsynth = "actions"\n'


@pytest.fixture
def waiting(live_house: House) -> tuple[House, int]:
    """A pull request whose run waits for its workflow."""
    live_house.github.push(live_house.repository, "main", {"stagedoor.toml": CONFIG})
    source = live_house.pull_request()
    live_house.hear()
    live_house.resolve(source)
    live_house.reconcile(source)
    return live_house, source


def head(house: House, source: int) -> str:
    return str(house.source(source).head_sha)


def ended(house: House, source: int, data: bytes | None, conclusion: str = "success") -> int:
    """Have a workflow run for the head to its end, and GitHub tell of it."""
    run = house.github.begin_workflow(house.repository, head(house, source))
    house.github.end_workflow(
        house.repository, run, {} if data is None else {"stagedoor-assembly": data}, conclusion=conclusion
    )
    house.hear()
    house.resolve(source)
    house.reconcile(source)
    return run


def test_a_run_waits_says_so_and_deploys_what_the_workflow_leaves(waiting: tuple[House, int]) -> None:
    house, source = waiting
    (run,) = house.runs(source)
    assert (run.outcome, run.blocked_reason) == (
        None,
        f"Waits for a workflow that leaves the assembly of {head(house, source)[:12]}.",
    )
    (comment,) = house.github.comments(house.repository, house.number(source))
    assert "⏸️ Waiting" in comment["body"]
    assert "Waits for a workflow that leaves the assembly" in comment["body"]
    (check,) = house.github.check_runs(house.repository, head(house, source))
    assert (check["status"], check["output"]["title"]) == ("queued", "Waiting for a workflow")
    assert house.stage(source).not_before is not None
    house.reconcile(source)
    assert len(house.runs(source)) == 1

    ended(house, source, artifact("built", executables=["tiny.template.json", "../../etc/passwd", 7]))
    (done,) = house.runs(source)
    assert (done.id, done.outcome, done.blocked_reason) == (run.id, "succeeded", None)
    assert house.stage(source).outputs == {"Tiny": {"Word": "built"}}
    events = [event for _, chunk in read_events(house.parts.blobs, run.id) for event in chunk]
    assert [e["subject"] for e in events if e["kind"] == "phase" and e["status"] == "done"] == [
        "fetch",
        "inspect",
        "plan",
        "publish",
        "apply",
    ]
    with house.parts.sessions() as session:
        kept = session.scalars(select(AssemblyRow)).one()
    assert (kept.id, kept.commit) == (done.assembly_id, head(house, source))


def test_who_asks_while_github_is_looked_at_is_not_forgotten(
    waiting: tuple[House, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, source = waiting
    stage, sha = house.stage(source), head(house, source)

    def asked_meanwhile(*arguments):
        with house.parts.sessions.begin() as session:
            assert not request_deploy(session, session.get_one(Stage, stage.id), sha, actor="actions:acme/x#1").new
        return look_for(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("service.stages.stage_assembly.look_for", asked_meanwhile)
        _age(house, timedelta(0))
        house.reconcile(source)
    assert house.stage(source).not_before is None
    house.reconcile(source)
    assert house.stage(source).not_before is not None


def test_the_console_shows_what_a_run_waits_for(waiting: tuple[House, int]) -> None:
    house, source = waiting
    (run,) = house.runs(source)
    settings = house.parts.settings.model_copy(update={"github_webhook_secrets": (SecretStr("s" * 16),)})
    pages = create_app(parts=replace(house.parts, settings=settings)).test_client()
    for page in (f"/runs/{run.id}", f"/stages/{run.stage_id}", "/"):
        shown = pages.get(page).get_data(as_text=True)
        assert '<span class="badge waiting">waiting</span>' in shown, page
    assert str(run.blocked_reason) in pages.get(f"/runs/{run.id}").get_data(as_text=True)


def test_only_a_workflow_that_somebody_waits_for_has_github_asked(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    sha, stage = head(house, source), house.stage(source)
    house.hear()
    before = house.source(source).generation
    for commit in (sha, house.repository.git.resolve("main")):
        house.github.end_workflow(house.repository, house.github.begin_workflow(house.repository, commit), {})
    house.hear()
    assert house.source(source).generation == before
    with house.parts.sessions.begin() as session:
        session.add(
            Run(
                stage_id=stage.id,
                intent_id=session.scalars(select(Intent.id)).one(),
                generation=1,
                fence=1,
                kind="deploy",
                commit=sha,
                blocked_reason="Waits.",
                started_at=T0,
            )
        )
        session.get_one(Stage, stage.id).not_before = T0 + timedelta(days=9999)
    house.github.end_workflow(house.repository, house.github.begin_workflow(house.repository, sha), {})
    house.hear()
    assert house.source(source).generation == before + 1
    house.resolve(source)
    assert house.stage(source).not_before is None


def test_a_workflow_that_failed_is_named_and_its_next_run_is_noticed(waiting: tuple[House, int]) -> None:
    house, source = waiting
    _age(house, timedelta(minutes=2))
    failed = ended(house, source, None, conclusion="failure")
    error = house.runs(source)[-1].error or {}
    assert error["id"] == "workflow-failed"
    assert f"{house.github.web_url}/{house.repository.full_name}/actions/runs/{failed}" in error["what"]
    assert house.outcomes(source) == [("deploy", "failed")]
    house.resolve(source)
    house.reconcile(source)
    assert len(house.runs(source)) == 1, "nothing has happened since"
    ended(house, source, artifact("again"))
    assert house.outcomes(source) == [("deploy", "failed"), ("deploy", "succeeded")]
    assert house.intents(source)[-1] == ("commit", "workflow-ended")


def test_a_run_does_not_wait_for_ever_nor_for_what_left_nothing(waiting: tuple[House, int]) -> None:
    house, source = waiting
    _age(house, timedelta(minutes=2))
    ended(house, source, None)
    assert (house.runs(source)[-1].error or {})["id"] == "workflow-without-assembly"
    newest = house.push(source, {"README.md": "words"})
    house.hear()
    house.resolve(source)
    house.github.begin_workflow(house.repository, newest)
    house.reconcile(source)
    assert "Waits for the workflow 'preview' (http" in str(house.runs(source)[-1].blocked_reason)
    _age(house, timedelta(hours=2))
    house.reconcile(source)
    error = house.runs(source)[-1].error or {}
    assert error["id"] == "workflow-late"
    assert "within 60 minutes" in error["what"]


def test_a_waiting_run_is_cancelled_and_superseded_as_any_other(waiting: tuple[House, int]) -> None:
    house, source = waiting
    house.push(source, {"README.md": "words"})
    house.hear()
    house.resolve(source)
    house.reconcile(source)
    with house.parts.sessions.begin() as session:
        assert cancel_run(session, session.get_one(Run, newest_run(session)), actor="mona")
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "superseded"), ("deploy", "cancelled")]


def test_a_workflow_of_another_stage_is_refused_with_the_remedy(waiting: tuple[House, int]) -> None:
    house, source = waiting
    ended(house, source, artifact("built", stage="dev"))
    error = house.runs(source)[-1].error or {}
    assert (error["id"], house.stage(source).live_commit) == ("made-for-other-stage", None)


def _age(house: House, by: timedelta) -> None:
    """Have the newest run wait for that long already, and be looked at now."""
    with house.parts.sessions.begin() as session:
        run = session.get_one(Run, newest_run(session))
        run.started_at -= by
        run.stage.not_before = None


def newest_run(session: Session) -> int:
    return int(session.scalars(select(Run.id).order_by(Run.id.desc()).limit(1)).one())


def wanted(**changes) -> Artifact:
    usual = {"app": "tiny", "stage": "pr-1", "commit": "c" * 40, "head_repository": 1, "branch": None}
    return Artifact(**{**usual, **changes}, waited=timedelta(0), patience=timedelta(hours=1))


def ran(**changes) -> WorkflowRun:
    usual = {"id": 1, "name": "w", "event": "pull_request", "head_sha": "c" * 40, "head_branch": "topic"}
    return WorkflowRun(
        **{**usual, "head_repository": 1, "status": "completed", "conclusion": "success", "url": "", **changes}
    )


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        (ran(), True),
        (ran(event="push"), True),
        (ran(event="pull_request_target"), False),
        (ran(event="workflow_dispatch"), False),
        (ran(event="workflow_run"), False),
        (ran(head_sha="d" * 40), False),
        (ran(head_repository=2), False),
        (ran(head_repository=None), False),
    ],
)
def test_which_runs_count_for_a_pull_request(run: WorkflowRun, counts: bool) -> None:
    assert bool(counting(wanted(), [run])) is counts


def test_for_a_branch_only_a_push_to_it_counts() -> None:
    """A pull request's workflow comes from the merge with its base, which its author chooses."""
    runs = [ran(), ran(event="push"), ran(event="push", head_branch="main"), ran(head_branch="main")]
    assert counting(wanted(branch="main"), runs) == [runs[2]]


def test_an_app_that_may_not_read_actions_says_so(waiting: tuple[House, int], monkeypatch: pytest.MonkeyPatch) -> None:
    house, source = waiting
    monkeypatch.setattr("service.github.client.WORKFLOW_PERMISSIONS", {"actions": "admin"})
    _age(house, timedelta(0))
    house.reconcile(source)
    assert (house.runs(source)[-1].error or {}).get("id") == "workflows-unreadable"
