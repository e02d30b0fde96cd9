from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.deploy.comparison.differences import ValueChange
from stagedoor.deploy.decision import Action, decide
from stagedoor.deploy.request import capabilities, change_set_name
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.wanted import StackElsewhere, Wanted, check_region, parameter_changes, parameters_for
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, stack, template

PARAMETERS: dict[str, Any] = {
    "Size": {"Type": "String", "Default": "small"},
    "Owner": {"Type": "String"},
    "BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk-bootstrap/x/version"},
}
TEMPLATE = {**template(Value=parameter("x")), "Parameters": PARAMETERS}
ACTUAL = ActualStack("n", "arn", "UPDATE_COMPLETE", tags=IDENTITY.tags(), parameters={"Size": "small", "Owner": "me"})


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(stack(tmp_path, "S", TEMPLATE, parameters={"Owner": "me"}), TEMPLATE, IDENTITY.tags(), 0)


def test_a_stack_that_is_as_wanted_is_left_alone(wanted: Wanted):
    assert decide(wanted, ACTUAL, TEMPLATE).action is Action.UNCHANGED


@pytest.mark.parametrize(
    ("actual", "reason"),
    [
        (replace(ACTUAL, tags={"stagedoor:app": "shop"}), "its tags change"),
        (replace(ACTUAL, parameters={"Size": "large", "Owner": "me"}), "its parameter Size changes"),
        (replace(ACTUAL, parameters={"Size": "small", "Owner": "****"}), "its parameter Owner changes"),
        (replace(ACTUAL, termination_protection=True), "its termination protection changes"),
        (replace(ACTUAL, status="UPDATE_ROLLBACK_COMPLETE"), "it is UPDATE_ROLLBACK_COMPLETE"),
    ],
)
def test_what_differs_is_said(wanted: Wanted, actual: ActualStack, reason: str):
    decision = decide(wanted, actual, TEMPLATE)
    assert (decision.action, decision.reason) == (Action.UPDATE, reason)


def test_another_template_or_one_that_cannot_be_compared_is_a_change(wanted: Wanted):
    assert decide(wanted, ACTUAL, template()).action is Action.UPDATE
    assert decide(wanted, ACTUAL, None).action is Action.UPDATE


def test_only_a_parameter_with_neither_value_nor_default_keeps_what_it_had(wanted: Wanted):
    bare = replace(wanted, stack=replace(wanted.stack, parameters={}))
    assert parameters_for(bare, ACTUAL) == [{"ParameterKey": "Owner", "UsePreviousValue": True}]
    assert parameters_for(wanted, ACTUAL) == [{"ParameterKey": "Owner", "ParameterValue": "me"}]


def test_capabilities_are_those_that_the_template_needs():
    role: dict[str, Any] = {"Type": "AWS::IAM::Role", "Properties": {}}
    named: dict[str, Any] = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r"}}
    assert capabilities(template(Value=parameter("x"))) == []
    assert capabilities(template(Role=role)) == ["CAPABILITY_IAM"]
    assert capabilities(template(Role=named)) == ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    assert "CAPABILITY_AUTO_EXPAND" in capabilities(template(Inner={"Type": "AWS::CloudFormation::Stack"}))


def test_a_change_sets_name_fits_and_tells_tokens_apart():
    names = {change_set_name("g1-r2-" + "x" * 121 + end) for end in "ab"}
    assert len(names) == 2
    assert all(len(name) <= 128 and name.startswith("sd-g1-r2-") for name in names)


def test_a_stack_of_another_region_is_refused(wanted: Wanted):
    here = Target(name="here", account="111122223333", region="us-east-1")
    with pytest.raises(StackElsewhere, match="eu-west-1"):
        check_region(replace(wanted.stack, region="eu-west-1"), here)
    check_region(replace(wanted.stack, region="unknown-region"), here)


def test_a_hidden_parameter_is_said_to_change_and_not_shown(tmp_path: Path):
    declared = {"Password": {"Type": "String", "NoEcho": True}, "Size": {"Type": "String", "Default": "large"}}
    body = {**template(Value=parameter("x")), "Parameters": declared}
    wanted = Wanted(stack(tmp_path, "S", body, parameters={"Password": "hunter3"}), body, IDENTITY.tags(), 0)
    actual = replace(ACTUAL, parameters={"Password": "****", "Size": "small"})
    assert list(parameter_changes(wanted, actual, TEMPLATE)) == [
        ValueChange("Password", "****", "****", cause="its value may have changed"),
        ValueChange("Size", "small", "large"),
    ]
