"""The API as it is served, held against its own document: cases made from the document, valid and not.

schemathesis: https://schemathesis.readthedocs.io. Bounded by numbers of cases, the same ones in each run.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings, strategies
from schemathesis.specs.openapi.checks import positive_data_acceptance

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.access.reach import Right
from service.api.operation import LARGEST_ID
from service.database import make_engine, make_sessions, migrate
from service.models import Outcome
from service.settings import Settings
from tests.service.api.conftest import SECRET, add_preview, add_run, address, machine
from tests.service.test_front_door import serve

CASES = 6  # of each operation, beside those that the document's own limits lead to


@pytest.fixture(scope="module")
def served(
    github: LocalGitHub, notes: LocalRepository, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """The URL of a front door with a stage and two runs that have ended, and the headers of a machine."""
    folder = tmp_path_factory.mktemp("served")
    made = Settings(
        data_dir=folder,
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_webhook_secrets=SECRET,
        github_api_url=github.api_url,
        github_web_url=github.web_url,
    )
    engine = make_engine(made.database)
    migrate(engine)
    sessions = make_sessions(engine)
    stage = add_preview(github, sessions, notes)
    for outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        add_run(sessions, stage, outcome)
    headers = machine(sessions, "*", (Right.READ, Right.DEPLOY, Right.REMOVE))
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.api.event_stream.LONGEST_SECONDS", 0.1)
        server, thread, url = serve(made)
        yield url, headers
        server.should_exit = True
        thread.join()


def lead_to_what_is_there(case: "schemathesis.Case[Any]") -> None:
    """Most cases would end at ids and names that nobody has: let those that are well formed be of what is there."""
    for name, value in (case.path_parameters or {}).items():
        if isinstance(value, int) and 0 <= value <= LARGEST_ID:
            case.path_parameters[name] = value % 3
    query = case.query or {}
    named = query.get("repository")
    if isinstance(named, str) and re.fullmatch(r"[A-Za-z0-9._/@:+ =-]{1,255}", named) and len(named) % 2:
        query["repository"] = address()["repository"]
        if "app" in query:
            query["app"] = "notes"


schemathesis.openapi.media_type("application/zip", strategies.binary(max_size=200))
schema = schemathesis.openapi.from_path(Path("docs/openapi.json"))


@schema.parametrize()
@settings(max_examples=CASES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_the_document_is_true(case, served):
    lead_to_what_is_there(case)
    # No document can say what an assembly is: any other archive is refused, as it should be.
    headers = {} if "Authorization" in (case.headers or {}) else served[1]  # a wrong one is a case, too
    excluded = [positive_data_acceptance] if case.operation.path == "/assemblies" else []
    case.call_and_validate(base_url=f"{served[0]}/api/v1", headers=headers, excluded_checks=excluded)
