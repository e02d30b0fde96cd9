"""What goes without CloudFormation, decided on templates alone."""

from typing import Any

import pytest

from stagedoor.assembly.model import Template
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.swapping.drift import IN_DOUBT, Drift, digest
from stagedoor.deploy.swapping.hotswap import NotSwappable, Swap, find_restoration, find_swap
from stagedoor.deploy.swapping.references import resolve, scope_in_account
from tests.stagedoor.deploy.assemblies import template

ARN = "arn:aws:cloudformation:eu-west-1:000000000001:stack/shop-Api/1"
ACTUAL = ActualStack("shop-Api", ARN, "CREATE_COMPLETE", parameters={"Word": "hello", "Secret": "****"})


def code(key: str) -> dict[str, str]:
    return {"S3Bucket": "assets", "S3Key": f"{key}.zip"}


def function(key: str = "one", *, metadata: str = "", variables: dict[str, Any] | None = None, **more: Any) -> Any:
    properties = {"Code": code(key), "Handler": "index.handler", "Runtime": "python3.12", "Role": "role", **more}
    if variables is not None:
        properties["Environment"] = {"Variables": variables}
    resource = {"Type": "AWS::Lambda::Function", "Properties": properties}
    return resource | ({"Metadata": {"aws:asset:path": metadata}} if metadata else {})


def shop(
    function: Any, version: str = "", *, aliased: Any = None, sections: dict[str, Any] | None = None, **more: Any
) -> Template:
    resources = {"Function": function, "Table": {"Type": "AWS::DynamoDB::Table"}, **more}
    if version:
        resources[version] = {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}}
        properties = {"Name": "live", "FunctionVersion": {"Fn::GetAtt": [version, "Version"]}, **(aliased or {})}
        resources["Alias"] = {"Type": "AWS::Lambda::Alias", "Properties": properties}
    parameters = {"Word": {"Type": "String"}, "Secret": {"Type": "String", "NoEcho": True}}
    return {**template(**resources), "Parameters": parameters, **(sections or {})}


def found(before: Template, after: Template, drift: Drift | None = None) -> dict[str, list[str]] | str:
    """Return the paths to swap by resource, or why it cannot be done."""
    swap = find_swap(before, after, drift or Drift(ARN, digest(before)), ACTUAL)
    if isinstance(swap, NotSwappable):
        return swap.reason
    return {resource.logical_id: list(resource.wanted) for resource in swap.resources}


SWAPPED = {
    "code": (function("one", metadata="a"), function("two", metadata="b"), ["Code"]),
    "a variable": (function(variables={"A": "1", "B": {"Fn::ImportValue": "x"}}), None, ["Environment.A"]),
    "its first variable": (function(), function(variables={"A": {"Ref": "Table"}}), ["Environment.A"]),
    "a variable less": (function(variables={"A": "1"}), function(), ["Environment.A"]),
    "settings": (function(), function(Timeout=9, MemorySize={"Ref": "Word"}), ["MemorySize", "Timeout"]),
    "inline code": (
        function(Code={"ZipFile": "def handler(): pass"}),
        function(Code={"ZipFile": "def handler(): ..."}),
        ["Code"],
    ),
    "notes alone": (function(metadata="a"), function(metadata="b"), None),
}


@pytest.mark.parametrize("case", SWAPPED)
def test_what_is_swapped(case: str):
    before, after, paths = SWAPPED[case]
    after = after or function(variables={"A": "2", "B": {"Fn::ImportValue": "x"}})
    assert found(shop(before), shop(after)) == ({"Function": paths} if paths else {})


def test_a_state_machine_is_swapped_but_not_one_with_substitutions():
    def machine(text: str, **more: Any) -> Any:
        definition = {"Fn::Join": ["", [text, {"Fn::GetAtt": ["Function", "Arn"]}]]}
        return {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": definition, **more}}

    assert found(shop(function(), M=machine("a")), shop(function(), M=machine("b"))) == {"M": ["DefinitionString"]}
    filled = {"DefinitionSubstitutions": {"x": "y"}}
    assert "M (AWS::StepFunctions" in found(
        shop(function(), M=machine("a", **filled)), shop(function(), M=machine("b", **filled))
    )


PLAIN = shop(function())
NOT_SWAPPED = {
    "another property": (PLAIN, shop(function(VpcConfig={})), "Function (AWS::Lambda::Function) changes"),
    "another resource": (
        PLAIN,
        shop(function("two"), Queue={"Type": "AWS::SQS::Queue"}),
        "Queue (AWS::SQS::Queue) is new",
    ),
    "a resource less": (
        PLAIN,
        template(Function=function()) | {"Parameters": PLAIN["Parameters"]},
        "not wanted any more",
    ),
    "an output": (PLAIN, shop(function("two"), sections={"Outputs": {"A": {"Value": "a"}}}), "its Outputs change"),
    "an import": (PLAIN, shop(function(variables={"A": {"Fn::ImportValue": "x"}})), "Environment.A refers to"),
    "what was an import": (shop(function(variables={"A": {"Fn::ImportValue": "x"}})), PLAIN, "Environment.A refers to"),
    "a hidden parameter": (PLAIN, shop(function(variables={"A": {"Ref": "Secret"}})), "Environment.A refers to"),
    "an unknown attribute": (
        PLAIN,
        shop(function(variables={"A": {"Fn::GetAtt": ["Table", "StreamArn"]}})),
        "refers to",
    ),
    "no resource": (PLAIN, shop(function("two"), Loop="a string"), "Loop is new"),
    "the handler": (PLAIN, shop(function(Handler=None)), "cannot be taken away"),
    "cfn-response": (PLAIN, shop(function(Code={"ZipFile": "import cfnresponse"})), "only CloudFormation"),
    "code behind a key": (PLAIN, shop(function(Code={**code("two"), "SourceKMSKeyArn": "k"})), "only CloudFormation"),
    "another alias": (
        shop(function(), "V1"),
        shop(function("two"), "V2", aliased={"Name": "dead"}),
        "Alias (AWS::Lambda",
    ),
    "a version elsewhere": (
        shop(function(), "V1", Route={"Type": "AWS::X::Y", "Properties": {"To": {"Ref": "V1"}}}),
        shop(function("two"), "V2", Route={"Type": "AWS::X::Y", "Properties": {"To": {"Ref": "V2"}}}),
        "Route (AWS::X::Y) changes",
    ),
}


@pytest.mark.parametrize("case", NOT_SWAPPED)
def test_what_is_not_swapped(case: str):
    before, after, reason = NOT_SWAPPED[case]
    said = found(before, after)
    assert isinstance(said, str)
    assert reason in said


def test_a_version_follows_its_function_and_the_alias_the_version():
    swap = find_swap(shop(function(), "V1"), shop(function("two"), "V2"), Drift(), ACTUAL)
    assert isinstance(swap, Swap)
    (resource,) = swap.resources
    assert (dict(resource.wanted), resource.aliases) == ({"Code": code("two"), "Version": "V2"}, ("Alias",))


def drifted(before: Template, after: Template) -> Drift:
    """Return the drift after a swap from `before` to `after`."""
    drift = Drift(ARN, digest(before))
    swap = find_swap(before, after, drift, ACTUAL)
    for resource in swap.resources:
        drift = drift.with_resource(resource.logical_id, resource.drift)
    return drift


def test_what_was_swapped_is_not_swapped_again_and_going_back_ends_the_drift():
    one, two = shop(function("one")), shop(function("two", Timeout=9))
    drift = drifted(one, two)
    assert found(one, two, drift) == {}
    assert found(one, shop(function("three", Timeout=9)), drift) == {"Function": ["Code"]}
    (back,) = find_swap(one, one, drift, ACTUAL).resources
    assert (dict(back.wanted), back.drift) == ({"Code": code("one"), "Timeout": None}, {})
    assert find_restoration(one, drift, ACTUAL).resources == (back,)


def test_in_doubt_everything_touched_is_swapped_again():
    one, two = shop(function("one")), shop(function("two"))
    in_doubt = Drift(ARN, digest(one), {"Function": {"Code": IN_DOUBT}})
    assert found(one, two, in_doubt) == found(one, one, in_doubt) == {"Function": ["Code"]}


def test_drift_counts_for_the_stack_and_template_that_it_was_found_on():
    one, two = shop(function("one")), shop(function("two"))
    drift = drifted(one, two)
    assert not drift.of("arn:aws:cloudformation:eu-west-1:000000000001:stack/shop-Api/2", one)
    assert drift.of(ARN, one) == drift
    assert drift.of(ARN, two).swapped == {"Function": {"Code": IN_DOUBT}}  # somebody else updated the stack


def test_what_cannot_be_told_any_more_was_set_by_who_changed_it():
    changed = shop(function("one", variables={"A": {"Fn::ImportValue": "x"}}))
    drift = Drift(ARN, digest(changed), {"Function": {"Environment.A": IN_DOUBT}, "Gone": {"Code": IN_DOUBT}})
    assert find_restoration(changed, drift, ACTUAL).resources == ()


def test_after_a_failed_hotswap_the_stack_goes_by_cloudformation():
    one, two = shop(function("one")), shop(function("two"))
    assert (
        found(one, two, Drift(ARN, digest(one), {"Function": {"Code": IN_DOUBT}}, failed=True))
        == "a hotswap of it failed"
    )


def test_references_stand_for_what_the_account_says():
    body = shop(function(), Queue={"Type": "AWS::SQS::Queue"})
    ids = {"Table": "shop-table", "Queue": "https://sqs.eu-west-1.amazonaws.com/000000000001/shop-queue"}
    values = {
        "arn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "joined": {"Fn::Join": ["-", [{"Ref": "AWS::Region"}, {"Ref": "Table"}, {"Ref": "Word"}]]},
        "replaced": {"Fn::Sub": "${Table.Arn}/index/*"},
        "absent": {"Ref": "AWS::NoValue"},
    }
    assert resolve(values, scope_in_account(body, ACTUAL, ids)) == {
        "arn": "arn:aws:sqs:eu-west-1:000000000001:shop-queue",
        "joined": "eu-west-1-shop-table-hello",
        "replaced": "arn:aws:dynamodb:eu-west-1:000000000001:table/shop-table/index/*",
    }
