"""What apps look up, in the service: kept in the database, told to the next run, apart by app and target."""

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest
from sqlalchemy import select, update

from service.database import Sessions
from service.models import ContextValue, TargetRow
from service.stages.context import ContextTable
from stagedoor.synth.context.lookup import PREVIEW_KEEPS
from stagedoor.target import Trust
from tests.service.rows import add_stage, add_target
from tests.service.stages.conftest import House
from tests.stagedoor.synth.looking_app import LOOKS_UP

FILES = {"cdk.json": json.dumps({"app": "python3 app.py"}), "app.py": LOOKS_UP}


def put(name: str, value: str) -> None:
    boto3.Session().client("ssm").put_parameter(Name=name, Type="String", Value=value, Overwrite=True)


def test_a_run_looks_up_and_the_next_one_is_told(live_house: House) -> None:
    put("/which", "/this")
    put("/this", "found")
    source = live_house.pull_request(**FILES)
    live_house.resolve(source)
    live_house.reconcile(source)
    assert live_house.stage(source).outputs == {"Tiny": {"Is": "found"}}
    with live_house.parts.sessions() as session:
        kept = list(session.scalars(select(ContextValue).order_by(ContextValue.id)))
    assert [row.value for row in kept] == ["/this", "found"]
    assert kept[1].key.endswith(":parameterName=/this:region=us-east-1")

    put("/this", "changed")
    live_house.push(source, {"readme": "again"})
    live_house.reconcile(source)
    assert live_house.outcomes(source)[-1] == ("deploy", "unchanged")


def test_a_target_with_roles_but_none_for_looking_looks_nothing_up(live_house: House, account: str) -> None:
    with live_house.parts.sessions.begin() as session:
        session.execute(update(TargetRow).values(deploy_role=f"arn:aws:iam::{account}:role/deploys"))
    source = live_house.pull_request(**FILES)
    live_house.resolve(source)
    live_house.reconcile(source)
    run = live_house.runs(source)[-1]
    assert (run.outcome, (run.error or {})["id"]) == ("failed", "no-lookup-role")

    with live_house.parts.sessions.begin() as session:
        session.execute(update(TargetRow).values(lookup_role=f"arn:aws:iam::{account}:role/looks"))
    live_house.push(source, {"readme": "again"})
    live_house.reconcile(source)
    assert (live_house.runs(source)[-1].error or {})["id"] == "lookup-failed"


def test_an_operators_rules_and_limits_are_in_force_from_the_next_run_on(live_house: House) -> None:
    source = live_house.pull_request()
    live_house.resolve(source)
    live_house.reconcile(source)
    ruled: dict[str, dict[str, Any]] = {
        "denied-resource-type": {"denied_types": ["AWS::SSM::*"]},
        "assembly-too-large": {"denied_types": [], "assembly_limits": {"files": 1}},
    }
    for refusal, columns in ruled.items():
        with live_house.parts.sessions.begin() as session:
            session.execute(update(TargetRow).values(**columns))
        live_house.push(source, {"readme": refusal})
        live_house.reconcile(source)
        assert (live_house.runs(source)[-1].error or {})["id"] == refusal


@pytest.mark.parametrize(("trust", "lasts"), [(Trust.PREVIEW, False), (Trust.PRODUCTION, True)])
def test_values_are_an_apps_own_in_a_target_and_grow_old_for_previews(
    database: Sessions, trust: Trust, lasts: bool
) -> None:
    with database.begin() as session:
        stage = add_stage(session)
        other = add_target(session, "other")
        ids = stage.target_id, stage.app_id
        other_id = other.id
    table = ContextTable(database, *ids, trust)
    table.keep({"vpc": {"vpcId": "vpc-1"}, "zones": ["a"]})
    table.keep({"vpc": {"vpcId": "vpc-2"}})
    assert table.read() == {"vpc": {"vpcId": "vpc-2"}, "zones": ["a"]}
    assert ContextTable(database, other_id, ids[1], trust).read() == {}

    with database.begin() as session:
        for row in session.scalars(select(ContextValue)):
            row.read_at -= PREVIEW_KEEPS + timedelta(seconds=1)
    assert bool(table.read()) == lasts
