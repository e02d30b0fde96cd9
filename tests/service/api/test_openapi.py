"""The document that is checked in, and what every answer of the API has in common."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from service.api.access import current_access
from service.api.routes import document
from service.app import create_app
from service.parts import Parts
from tests.service.api.conftest import Asking, person, problem

DOCUMENT = Path("docs/openapi.json")


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: nothing here is about a database."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'stagedoor.sqlite')}"


def test_the_document_is_checked_in_as_it_is_made() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "`make docs` writes it anew"


def test_all_that_the_document_refers_to_is_in_it_and_is_a_schema() -> None:
    said = json.loads(document())
    assert said["openapi"].startswith("3.1")
    schemas = said["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        for each in schema.get("properties", {}).values():
            if "default" in each and "$ref" not in json.dumps(each):
                Draft202012Validator(each).validate(each["default"])
    text = json.dumps(said)
    named = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)
    names = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_the_document_is_served_to_everybody_and_once(client: FlaskClient) -> None:
    first = client.get("/api/v1/openapi.json")
    assert first.text == document()
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_what_is_not_there_is_a_problem_as_everything_else(mona: Asking, preview: int) -> None:
    assert problem(mona("GET", "/nothing")) == (404, "unknown-path")
    assert problem(mona.client.get("/api/stages")) == (404, "unknown-path")
    refused = mona("DELETE", f"/stages/{preview}")
    assert problem(refused) == (405, "method-not-allowed")
    assert refused.headers["Allow"] == "GET, HEAD"
    # Of what asyncio answers, Flask knows the methods.
    assert problem(mona("POST", f"/stages/{preview}/stream")) == (405, "method-not-allowed")
    assert problem(mona("GET", f"/stages/{2**64}")) == (404, "unknown-path")
    assert mona.client.get("/nothing").content_type.startswith("text/html")  # pages are for people


def test_who_is_not_known_is_told_how_to_be(client: FlaskClient, preview: int) -> None:
    for authorization in ("", "Basic bW9uYTo=", "Bearer", "Bearer none", "Bearer sd_none"):
        answer = Asking(client, {"Authorization": authorization})("GET", f"/stages/{preview}")
        assert problem(answer) == (401, "not-logged-in")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


WRONG_BODIES: list[tuple[dict[str, Any], int, str, str]] = [
    ({"data": "{", "content_type": "application/json"}, 400, "not-json", ""),
    ({"data": b"\xff", "content_type": "application/json"}, 400, "not-json", ""),
    ({"data": "[" * 5000, "content_type": "application/json"}, 400, "not-json", ""),
    ({"data": "run=1"}, 415, "wrong-media-type", ""),
    ({"data": "{}", "content_type": "text/json"}, 415, "wrong-media-type", ""),
    ({"json": {"commit": "main"}}, 422, "invalid-request", "body.commit"),
    ({"json": {"commit": "c" * 40 + "\n"}}, 422, "invalid-request", "body.commit"),
    ({"json": {"commit": 7}}, 422, "invalid-request", "body.commit"),
    ({"json": {"assembly": 2**63}}, 422, "invalid-request", "body.assembly"),
    ({"json": {"commit": "c" * 40, "force": True}}, 422, "invalid-request", "body.force"),
    ({"json": {"commit": "c" * 40, "assembly": 1}}, 422, "invalid-request", "body"),
    ({"json": {}}, 422, "invalid-request", "body"),
    ({"json": []}, 422, "invalid-request", "body"),
    ({"json": {"commit": "c" * 2_000_000}}, 413, "body-too-large", ""),
]


def test_a_body_that_is_not_as_it_has_to_be_is_told_what_is_wrong(mona: Asking, preview: int) -> None:
    for sent, status, error, where in WRONG_BODIES:
        answer = mona("POST", f"/stages/{preview}/deploys", **sent)
        assert problem(answer) == (status, error)
        assert [each["where"] for each in answer.get_json().get("errors", [])] == ([where] if where else [])
        assert where in answer.get_json()["what"]


def test_a_query_that_is_not_as_it_has_to_be_is_refused(mona: Asking, preview: int) -> None:
    wrong = "limit=0 limit=1e3 limit=%2B7 before=-1 before= more=1 limit=1&limit=2 limit=%D9%A7"
    for query in wrong.split():
        assert problem(mona("GET", f"/stages/{preview}/runs", query_string=query)) == (422, "invalid-request")


def test_a_fault_of_ours_has_a_number_and_shows_nothing(
    parts: Parts, preview: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app(parts=parts)
    with app.app_context():
        access = current_access()
    broken = SimpleNamespace(caller=lambda _headers: 1 / 0, parts=access.parts)
    monkeypatch.setitem(app.extensions, "stagedoor.api", broken)
    answer = Asking(app.test_client(), person(parts.settings))("GET", f"/stages/{preview}")
    assert problem(answer) == (500, "internal-error")
    number = answer.get_json()["what"].partition("(error ")[2].rstrip(").")
    assert "ZeroDivisionError" not in answer.text
    log = capsys.readouterr().out
    assert number in log
    assert "ZeroDivisionError" in log


def test_what_was_read_is_asked_for_again_at_little_cost(mona: Asking, preview: int) -> None:
    first = mona("GET", f"/stages/{preview}")
    assert (first.headers["Cache-Control"], first.headers["Vary"]) == ("private, no-cache", "Authorization")
    same = mona("GET", f"/stages/{preview}", headers={"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    mona.post(f"/stages/{preview}/deploys", {"commit": "d" * 40})
    changed = mona("GET", f"/stages/{preview}", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert mona("POST", f"/stages/{preview}/token").headers["Cache-Control"] == "no-store"


def test_the_page_of_the_api_speaks_of_what_there_is() -> None:
    page = Path("docs/api.md").read_text(encoding="utf-8")
    said = json.loads(document())["paths"]
    paths = {re.sub(r"\{\w+\}", "{}", path) for path in said} - {"/openapi.json"}
    named = {re.sub(r"/\d+(?=/|$)", "/{}", path) for path in re.findall(r'"\$S([^"?]*)', page)}
    assert named <= paths
    written = {
        re.sub(r"\{\w+\}|(?<=/)\d+", "{}", path) for path in re.findall(r"`(?:PUT |POST )?(/[a-z][\w/{}]*)", page)
    }
    assert paths <= named | written
