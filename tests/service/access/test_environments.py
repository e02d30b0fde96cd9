"""A job's environment is compared as GitHub compares names, and no wider: one that only looks alike has no rules."""

import pytest

from service.access.reach import Right, StageFacts, run_refused
from service.access.tokens import RunToken
from service.models import StageKind


def reaches(environment: str, told_under: str) -> bool:
    run = RunToken(1, 2, 1, "push", "refs/heads/x", "c" * 40, environment, "mona", "deploy read", "x")
    return not run_refused(run, "eu", (StageFacts(StageKind.NAMED, told_under),), Right.DEPLOY, "c" * 40)


@pytest.mark.parametrize(("environment", "told_under"), [("staging", "Staging"), ("US-Stack", "us-stack"), ("é", "é")])
def test_case_does_not_matter(environment: str, told_under: str) -> None:
    assert reaches(environment, told_under)


@pytest.mark.parametrize(
    ("environment", "told_under"),
    [
        ("\u017ftaging", "staging"),  # the long s
        ("stac\u212a", "stack"),  # the sign of the kelvin
        ("o\ufb03ce", "office"),  # one letter for three
        ("stra\u00dfe", "strasse"),
        ("staging ", "staging"),
        ("\u0435u", "eu"),  # Cyrillic
    ],
)
def test_another_environment_that_looks_alike_opens_nothing(environment: str, told_under: str) -> None:
    assert not reaches(environment, told_under)
