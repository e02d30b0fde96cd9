"""A template is written by a stranger: whatever is in it, comparing it ends, and in nothing but an answer."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stagedoor.deploy.comparison.differences import difference
from stagedoor.deploy.comparison.permissions import permission_changes
from stagedoor.deploy.comparison.refusals import suspicions, template_refusals
from tests.stagedoor.deploy.compared import compared

_NAMES = ("A", "B", "AWS::NoValue", "AWS::Region", "A.Arn", "${A}", "${B.Arn}-${AWS::Region}", "0", "Statement", "Size")
_FUNCTIONS = ("Ref", "Fn::GetAtt", "Fn::Sub", "Fn::Join", "Fn::If", "Fn::Select", "Fn::Split", "Fn::FindInMap")
_CONDITIONS = ("Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not", "Condition", "Fn::ImportValue", "DependsOn", "Statement")
_TYPES = ("AWS::Lambda::Function", "AWS::IAM::Role", "AWS::EC2::SecurityGroup", "AWS::Lambda::Permission", "Custom::X")

scalars = st.none() | st.booleans() | st.integers(-2, 9) | st.floats(allow_nan=False) | st.sampled_from(_NAMES)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from((*_FUNCTIONS, *_CONDITIONS, *_NAMES, "Code", "Effect", "Action")), inner, max_size=2
        )
    ),
    max_leaves=12,
)
resources = st.fixed_dictionaries(
    {"Type": st.sampled_from(_TYPES)},
    optional={
        "Properties": values,
        "Metadata": values,
        "Condition": values,
        "DependsOn": values,
        "DeletionPolicy": values,
        "UpdateReplacePolicy": values,
    },
)
parameters = st.fixed_dictionaries({}, optional={"Type": values, "Default": values, "NoEcho": values}) | scalars
templates = st.fixed_dictionaries(
    {"Resources": st.dictionaries(st.sampled_from(("A", "B", "C")), resources | values, max_size=3) | scalars},
    optional={
        "Parameters": st.dictionaries(st.sampled_from(("Size", "A")), parameters, max_size=2),
        "Conditions": st.dictionaries(st.sampled_from(("A", "B")), values, max_size=2) | scalars,
        "Mappings": st.dictionaries(st.sampled_from(("A", "B")), values, max_size=2) | scalars,
        "Outputs": st.dictionaries(st.sampled_from(("A", "B")), values, max_size=2) | scalars,
    },
)


@settings(max_examples=60, deadline=None)
@given(templates, templates)
def test_any_two_templates_can_be_compared(before: dict[str, Any], after: dict[str, Any]):
    both = compared(before, after)
    difference(both.before, both.after, both.paths)
    permission_changes(both.before, both.after, both.paths)
    list(template_refusals(both))
    list(suspicions(both))


@settings(max_examples=40, deadline=None)
@given(templates)
def test_a_template_does_not_differ_from_itself(template: dict[str, Any]):
    both = compared(template, template)
    assert difference(both.before, both.after, both.paths).resources == ()
