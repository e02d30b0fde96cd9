"""What is wanted of stages, asked over the API: by people and by machines, and what is written down of it."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from service.access.reach import Right
from service.access.tokens import RunToken, Tokens
from service.database import Sessions
from service.models import App, AssemblyRow, Audit, Outcome, Repository, Run, Source, Stage, StageKind, Want
from service.parts import Parts
from service.settings import Settings
from service.stages.intents import append_intent, newest_intent
from stagedoor.target import Trust
from tests.service.api.conftest import Asking, add_run, address, machine, person, problem, wish
from tests.service.rows import T0, add_repository, add_source

NEW = "d" * 40


def wanted(sessions: Sessions, stage_id: int) -> tuple[str, str | None, int | None, str, str]:
    with sessions() as session:
        newest = newest_intent(session, session.get_one(Stage, stage_id))
        assert newest is not None
        return newest.want.value, newest.commit, newest.assembly_id, newest.cause, newest.actor


def audited(sessions: Sessions) -> list[tuple[str, str, int | None, str]]:
    with sessions() as session:
        rows = session.scalars(select(Audit).order_by(Audit.id))
        return [(row.actor, row.action, row.stage_id, row.subject) for row in rows]


def add_assembly(sessions: Sessions, stage_id: int, trust: Trust = Trust.PREVIEW) -> int:
    """Add an assembly of the stage's app that is kept; return its id."""
    with sessions.begin() as session:
        count = session.query(AssemblyRow).count()
        row = AssemblyRow(
            app_id=session.get_one(Stage, stage_id).app_id,
            trust=trust,
            digest=f"{count:064x}",
            commit="c" * 40,
            blob=f"assemblies/{count}.zip",
            created_at=T0,
        )
        session.add(row)
        session.flush()
        return row.id


def add_sibling(sessions: Sessions, stage_id: int, name: str, trust: Trust = Trust.PREVIEW) -> int:
    """Add another stage of the same app; return its id."""
    with sessions.begin() as session:
        beside = session.get_one(Stage, stage_id)
        stage = Stage(
            app_id=beside.app_id,
            target_id=beside.target_id,
            name=name,
            kind=StageKind.NAMED,
            frozen_target={},
            prefix=f"notes-{name}",
            trust=trust,
            protected=trust is Trust.PRODUCTION,
            last_activity_at=T0,
            created_at=T0,
        )
        session.add(stage)
        session.flush()
        append_intent(session, stage, Want.COMMIT, "pushed", wish(stage))
        return stage.id


def test_a_stage_says_what_it_is(mona: Asking, parts: Parts, preview: int) -> None:
    run = add_run(parts.sessions, preview)
    stage = mona.get(f"/stages/{preview}")
    assert (stage["name"], stage["app"], stage["repository"]) == ("pr-1", "notes", "127.0.0.1/acme/notes")
    assert (stage["state"], stage["commit"], stage["kind"]) == ("live", "c" * 40, "preview")
    assert (stage["wanted_generation"], stage["done_generation"]) == (1, 1)
    assert stage["url"] == "https://notes.example.com/"
    assert (stage["run"]["id"], stage["run"]["outcome"], stage["run"]["cause"]) == (run, "succeeded", "opened")
    assert stage["page"].endswith(f"/stages/{preview}")
    assert mona.get(f"/stages/{preview}/outputs") == {"outputs": stage["outputs"], "url": stage["url"]}
    assert mona.get("/stages", **address())["stages"] == [stage]


def test_lists_are_read_page_by_page(mona: Asking, parts: Parts, preview: int) -> None:
    others = [add_sibling(parts.sessions, preview, f"branch-{number}") for number in range(3)]
    runs = [add_run(parts.sessions, preview, Outcome.FAILED) for _ in range(5)]
    first = mona.get("/stages", **address(None), limit=3)
    assert [stage["id"] for stage in first["stages"]] == others[::-1]
    rest = mona.get("/stages", **address(None), limit=3, before=first["next"])
    assert ([stage["id"] for stage in rest["stages"]], rest["next"]) == ([preview], None)
    seen, following = [], {}
    for _ in range(3):
        page = mona.get("/runs", **address("pr-1"), limit=2, **following)
        seen += [run["id"] for run in page["runs"]]
        following = {"before": page["next"]}
    assert (seen, page["next"]) == (runs[::-1], None)
    assert [run["id"] for run in mona.get(f"/stages/{preview}/runs", limit=2)["runs"]] == runs[:2:-1]


def test_a_commit_is_wanted_once(mona: Asking, parts: Parts, preview: int) -> None:
    asked = f"/stages/{preview}/deploys"
    assert mona.post(asked, {"commit": NEW}) == {"stage": preview, "generation": 2, "new": True}
    assert mona.post(asked, {"commit": NEW}) == {"stage": preview, "generation": 2, "new": False}
    assert mona.post(asked, {"commit": NEW, "again": True}) == {"stage": preview, "generation": 3, "new": True}
    assert wanted(parts.sessions, preview) == ("commit", NEW, None, "requested", "mona")
    assert audited(parts.sessions) == [("mona", "deploy", preview, "")] * 3
    assert mona.get(f"/stages/{preview}")["state"] == "queued"


def test_what_was_deployed_is_promoted_and_rolled_back_to(mona: Asking, parts: Parts, preview: int) -> None:
    assembly = add_assembly(parts.sessions, preview)
    good, bad = add_run(parts.sessions, preview, assembly_id=assembly), add_run(parts.sessions, preview)
    mona.post(f"/stages/{preview}/deploys", {"commit": NEW})
    assert mona.post(f"/stages/{preview}/rollbacks", {"run": good})["generation"] == 3
    assert wanted(parts.sessions, preview) == ("assembly", "c" * 40, assembly, "rolled-back", "mona")
    staging, prod = (
        add_sibling(parts.sessions, preview, "staging"),
        add_sibling(parts.sessions, preview, "prod", Trust.PRODUCTION),
    )
    mona.post(f"/stages/{staging}/promotions", {"run": good})
    assert wanted(parts.sessions, staging) == ("assembly", "c" * 40, assembly, "promoted", "mona")
    refused = {
        (prod, "promotions", good): (409, "promotion-refused"),
        (staging, "rollbacks", good): (409, "run-of-other-stage"),
        (staging, "promotions", bad): (409, "assembly-not-kept"),
        (preview, "rollbacks", 999): (404, "unknown-run"),
        (preview, "promotions", 999): (404, "unknown-run"),
    }
    for (stage, what, run), told in refused.items():
        assert problem(mona("POST", f"/stages/{stage}/{what}", {"run": run})) == told
    assert problem(mona("POST", f"/stages/{preview}/deploys", {"assembly": 999})) == (404, "unknown-assembly")
    assert mona.post(f"/stages/{staging}/deploys", {"assembly": assembly})["new"] is False
    assert [action for _, action, _, _ in audited(parts.sessions)] == ["deploy", "roll-back", "promote", "deploy"]


def test_a_protected_stage_and_a_developers_own_are_left_alone(mona: Asking, parts: Parts, preview: int) -> None:
    prod = add_sibling(parts.sessions, preview, "prod", Trust.PRODUCTION)
    assert problem(mona("POST", f"/stages/{prod}/removals")) == (409, "stage-protected")
    with parts.sessions.begin() as session:
        own = session.get_one(Stage, add_sibling(parts.sessions, preview, "dev-eve"))
        own.kind, own.owner = StageKind.PERSONAL, "eve"
        own_id = own.id
    assert problem(mona("POST", f"/stages/{own_id}/deploys", {"commit": NEW})) == (409, "stage-taken")
    assert mona.post(f"/stages/{preview}/removals")["new"] is True
    assert wanted(parts.sessions, preview)[0] == "gone"
    assert audited(parts.sessions) == [("mona", "remove", preview, "")]


def test_strangers_are_told_what_numbers_there_are_and_no_names(
    client: FlaskClient, settings: Settings, parts: Parts, preview: int
) -> None:
    stranger = Asking(client, person(settings, "octocat", 7))
    run = add_run(parts.sessions, preview)
    for path in (f"/stages/{preview}", f"/runs/{run}"):
        assert problem(stranger("GET", path)) == (403, "forbidden")
    for path, told in (("/stages/999", "unknown-stage"), ("/runs/999", "unknown-run"), ("/plans/999", "unknown-plan")):
        assert problem(stranger("GET", path)) == (404, told)
    assert problem(stranger("DELETE", "/tokens/999")) == (404, "unknown-token")
    for named in (address(), address("pr-4711"), address(repository="127.0.0.1/acme/no-such")):
        assert problem(stranger("GET", "/stages", query_string=named)) == (403, "forbidden")


def test_of_two_repositories_that_have_had_one_name_none_is_meant_until_github_has_told(
    mona: Asking, parts: Parts, preview: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with parts.sessions.begin() as session:
        first = session.get_one(Stage, preview).app.repository
        renamed = add_repository(session, "Acme/Notes", 4711, host=first.host)
        renamed_id = renamed.id
    assert problem(mona("GET", "/stages", query_string=address())) == (403, "forbidden")
    assert "several repositories of this name" in capsys.readouterr().out
    assert mona.get(f"/stages/{preview}")["id"] == preview  # which is not asked for by that name
    with parts.sessions.begin() as session:
        session.get_one(Repository, renamed_id).full_name = "acme/notes-of-old"
    assert [one["id"] for one in mona.get("/stages", **address())["stages"]] == [preview]


def test_runs_are_cancelled_and_tried_again(mona: Asking, parts: Parts, preview: int) -> None:
    under_way = add_run(parts.sessions, preview, None)
    assert mona.post(f"/runs/{under_way}/cancel") == {"run": under_way, "cancelled": True}
    assert problem(mona("POST", f"/runs/{under_way}/retry")) == (409, "run-goes-on")
    assert mona.get(f"/runs/{under_way}")["cancel_requested"] is True
    with parts.sessions.begin() as session:
        session.get_one(Run, under_way).outcome = Outcome.CANCELLED
    assert mona.post(f"/runs/{under_way}/cancel") == {"run": under_way, "cancelled": False}
    assert mona.post(f"/runs/{under_way}/retry") == {"stage": preview, "generation": 2, "new": True}
    assert wanted(parts.sessions, preview)[3:] == ("retried", "mona")
    mona.post(f"/stages/{preview}/deploys", {"commit": NEW})
    assert problem(mona("POST", f"/runs/{under_way}/retry")) == (409, "run-outdated")
    assert problem(mona("POST", "/runs/999/cancel")) == (404, "unknown-run")
    did = [(action, subject) for _, action, _, subject in audited(parts.sessions)]
    assert did == [("cancel", "run 1"), ("cancel", "run 1"), ("retry", "run 1"), ("deploy", "")]


def test_a_machine_does_what_its_token_says(client: FlaskClient, parts: Parts, preview: int) -> None:
    other = add_sibling(parts.sessions, preview, "staging")
    run, others_run = add_run(parts.sessions, preview), add_run(parts.sessions, other)
    nightly = Asking(client, machine(parts.sessions, "pr-*", (Right.READ, Right.DEPLOY)))
    assert nightly.post(f"/stages/{preview}/deploys", {"commit": NEW})["new"] is True
    assert wanted(parts.sessions, preview)[4] == "token:nightly"
    assert [stage["id"] for stage in nightly.get("/stages", **address(None))["stages"]] == [preview]
    assert [each["id"] for each in nightly.get("/runs", **address(None))["runs"]] == [run]
    for answer in (
        nightly("POST", f"/stages/{preview}/removals"),
        nightly("GET", f"/stages/{other}"),
        nightly("GET", "/stages", query_string=address("staging")),
        nightly("POST", f"/stages/{other}/deploys", {"commit": NEW}),
        nightly("POST", f"/stages/{preview}/promotions", {"run": others_run}),
        nightly("POST", f"/runs/{others_run}/cancel"),
        nightly("GET", f"/runs/{others_run}/events"),
        nightly("GET", "/tokens", query_string={"repository": "127.0.0.1/acme/notes"}),
        nightly("GET", "/audit", query_string={"repository": "127.0.0.1/acme/notes"}),
    ):
        assert problem(answer) == (403, "forbidden")


def test_tokens_are_made_listed_and_revoked(mona: Asking, client: FlaskClient, parts: Parts, preview: int) -> None:
    repository = {"repository": "127.0.0.1/acme/notes"}
    body = {**repository, "name": "nightly", "stage": "pr-*", "rights": ["read"], "days": 7}
    made = mona.post("/tokens", body, status=201)
    nightly = Asking(client, {"Authorization": f"Bearer {made['token']}"})
    assert nightly.get(f"/stages/{preview}")["name"] == "pr-1"
    (listed,) = mona.get("/tokens", **repository)["tokens"]
    assert listed["hint"] == made["token"][: len(listed["hint"])]
    assert made["token"] not in str(listed)
    assert problem(mona("POST", "/tokens", {**body, "rights": ["admin"]})) == (422, "invalid-request")
    assert problem(mona("POST", "/tokens", {**body, "stage": "["})) == (422, "token-not-made")
    assert mona("DELETE", f"/tokens/{made['id']}").status_code == 204
    assert problem(nightly("GET", f"/stages/{preview}")) == (401, "not-logged-in")
    assert problem(mona("DELETE", f"/tokens/{made['id']}")) == (404, "unknown-token")
    told = mona.get("/audit", **repository)["audit"]
    assert [(row["actor"], row["action"], row["subject"]) for row in told] == [
        ("mona", "token-revoked", "token nightly"),
        ("mona", "token-created", "token nightly"),
    ]
    assert made["token"] not in str(told)


def test_the_record_of_a_repository_is_told_to_who_administers_it(
    mona: Asking, parts: Parts, preview: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        mona.post(f"/stages/{preview}/deploys", {"commit": NEW, "again": True})
    query = {"repository": "127.0.0.1/acme/notes", "stage": "pr-1", "limit": 2}
    first = mona.get("/audit", **query)
    rest = mona.get("/audit", **query, before=first["next"])
    generations = [row["data"]["generation"] for row in first["audit"] + rest["audit"]]
    assert (generations, rest["next"]) == ([4, 3, 2], None)
    assert mona.get("/audit", **{**query, "stage": "pr-2"})["audit"] == []


def workflow(parts: Parts, ref: str, sha: str, stage: str) -> dict[str, str]:
    """Return the headers of a workflow's run that may deploy the stage of its ref."""
    with parts.sessions() as session:
        repository_id = session.query(App).one().repository_id
    claims = RunToken(repository_id, 7, 1, "pull_request", ref, sha, "", "mona", "read deploy", stage)
    return {"Authorization": f"Bearer {Tokens.of(parts.settings).mint(claims)}"}


def test_a_late_workflow_does_not_set_a_pull_request_back(client: FlaskClient, parts: Parts, preview: int) -> None:
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        source = add_source(session, stage.app.repository)
        stage.source_id, source_id = source.id, source.id
    asking = Asking(client, workflow(parts, "refs/pull/1/merge", "a" * 40, "pr-1"))
    asked = f"/stages/{preview}/deploys"
    assert asking.post(asked, {"commit": "c" * 40}) == {"stage": preview, "generation": 1, "new": False}
    assert problem(asking("POST", asked, {"commit": NEW})) == (409, "commit-not-wanted")
    with parts.sessions() as session:
        assert session.get_one(Source, source_id).generation == 2  # GitHub is asked what is newest


def test_a_workflow_that_is_faster_than_the_webhook_has_github_asked(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    pull = Asking(client, workflow(parts, "refs/pull/9/merge", NEW, "pr-9"))
    branch = Asking(client, workflow(parts, "refs/heads/dev", NEW, "dev"))
    assert problem(pull("GET", "/stages", query_string=address("pr-9"))) == (404, "unknown-stage")
    assert problem(branch("GET", "/stages", query_string=address("dev"))) == (404, "unknown-stage")
    assert problem(branch("GET", "/stages", query_string=address("pr-9"))) == (403, "forbidden")
    with parts.sessions() as session:
        rows = session.scalars(select(Source).order_by(Source.id))
        assert [(row.kind.value, row.ref, row.generation) for row in rows] == [("pull", "9", 1), ("branch", "dev", 1)]
