"""The same app by both deployers leaves the same; each goes on with what the other has deployed."""

import json
from typing import Any

import pytest

from bench.sample import STACKS
from tests.equality.conftest import OURS, THEIRS, Deployers
from tests.equality.state import account_state, differences, physical_ids

OWN = {name: name for name in STACKS}
STAGE = ("deploy", "--stage", "prod", "--json")
ALL = ("deploy", "--all", "--require-approval", "never")


def by_us(deployers: Deployers, number: str, *words: str) -> dict[str, Any]:
    """Deploy by our command, and return its result."""
    result: dict[str, Any] = json.loads(deployers.stagedoor(number)(*STAGE, *words).splitlines()[-1])
    return result


def own_names(result: dict[str, Any]) -> dict[str, str]:
    """Return the app's own name for each stack that our command tells of."""
    return {stack["name"]: stack["name"].rpartition("-")[2] for stack in result["stacks"]}


@pytest.mark.timeout(600)
def test_both_leave_the_same_and_each_goes_on_from_the_other(deployers: Deployers):
    deployers.use(1)
    deployers.cdk(THEIRS)("bootstrap", f"aws://{THEIRS}/us-east-1")
    deployers.stagedoor(OURS)("bootstrap")
    deployers.cdk(THEIRS)(*ALL)
    names = own_names(by_us(deployers, OURS))
    theirs = account_state(deployers.account(THEIRS), OWN)
    assert differences(account_state(deployers.account(OURS), names), theirs) == []

    # What the CDK CLI made is adopted and updated: nothing is replaced, and it is as if made by us from the start.
    deployers.use(2)
    before = physical_ids(deployers.account(THEIRS), OWN)
    by_us(deployers, THEIRS, "--adopt")
    by_us(deployers, OURS)
    assert physical_ids(deployers.account(THEIRS), OWN) == before
    second = account_state(deployers.account(THEIRS), OWN)
    assert differences(second, theirs)
    assert differences(account_state(deployers.account(OURS), names), second) == []

    # The CDK CLI updates what we deployed last, and we find what it left.
    deployers.use(3)
    deployers.cdk(THEIRS)(*ALL)
    by_us(deployers, OURS)
    assert physical_ids(deployers.account(THEIRS), OWN) == before
    third = account_state(deployers.account(THEIRS), OWN)
    assert differences(third, second)
    assert differences(account_state(deployers.account(OURS), names), third) == []

    # It took our tags away with that, so we have to be asked again, and then find nothing else to change.
    by_us(deployers, THEIRS, "--adopt")
    assert physical_ids(deployers.account(THEIRS), OWN) == before
    assert differences(account_state(deployers.account(THEIRS), OWN), third) == []
