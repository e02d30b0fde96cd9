"""What CloudFormation refuses of a template, and the local AWS lets pass: found before anything is changed."""

from dataclasses import replace
from typing import Any

import pytest

from stagedoor.deploy.comparison.refusals import export_refusals, suspicions, template_refusals
from stagedoor.deploy.comparison.resolution import Comparison
from tests.stagedoor.deploy.compared import compared, of, resource

QUEUE = "AWS::SQS::Queue"


def refused(after: dict[str, Any], before: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    return [(error.id, error.what) for error in template_refusals(compared(before or of(), after))]


def suspected(after: dict[str, Any]) -> list[tuple[str, str, str]]:
    found = (one.error for one in suspicions(compared(of(), after)))
    return [(error.id, error.what, error.remedy) for error in found]


@pytest.mark.parametrize(
    ("properties", "attributes", "missing"),
    [
        ({"QueueName": {"Ref": "Gone"}}, {}, "Gone"),
        ({"QueueName": {"Fn::GetAtt": ["Gone", "Arn"]}}, {}, "Gone"),
        ({"QueueName": {"Fn::GetAtt": "Gone.Arn"}}, {}, "Gone"),
        ({"QueueName": {"Fn::Sub": "${AWS::Region}-${Gone.Arn}-${!Literal}"}}, {}, "Gone"),
        ({"QueueName": {"Fn::Sub": ["${X}-${Gone}", {"X": "x"}]}}, {}, "Gone"),
        ({"Tags": [{"Key": "a", "Value": {"Fn::If": ["Gone", "x", "y"]}}]}, {}, "the condition Gone"),
        ({"QueueName": {"Fn::FindInMap": ["Gone", "a", "b"]}}, {}, "the mapping Gone"),
        ({}, {"DependsOn": ["Gone"]}, "Gone"),
        ({}, {"Condition": "Gone"}, "the condition Gone"),
    ],
)
def test_a_reference_to_what_is_not_there(properties: dict[str, Any], attributes: dict[str, Any], missing: str):
    [(error, what)] = refused(of(Q=resource(QUEUE, path="App/Q", attributes=attributes, **properties)))
    assert error == "unresolved-reference"
    assert what == f"App/Q refers to {missing}, which is not in the template."


def test_an_output_and_a_condition_that_refer_to_what_is_not_there():
    outputs = {"Url": {"Value": {"Fn::GetAtt": ["Gone", "Url"]}}}
    assert "The output Url refers to Gone" in refused(of(Outputs=outputs))[0][1]
    conditions = {"Large": {"Fn::Not": [{"Condition": "Gone"}]}}
    assert "The condition Large refers to the condition Gone" in refused(of(Conditions=conditions))[0][1]


def test_a_reference_to_what_a_condition_leaves_out():
    def shop(size: str, name: Any) -> dict[str, Any]:
        conditions = {"Large": {"Fn::Equals": [{"Ref": "Size"}, "large"]}}
        cache = resource(QUEUE, path="App/Cache", attributes={"Condition": "Large"})
        return of({"Size": size}, Conditions=conditions, Cache=cache, Q=resource(QUEUE, path="App/Q", QueueName=name))

    name = {"Fn::GetAtt": ["Cache", "QueueName"]}
    assert refused(shop("large", name)) == []
    assert refused(shop("small", {"Fn::If": ["Large", name, "none"]})) == []
    [(error, what)] = refused(shop("small", name))
    assert (error, what) == ("unresolved-reference", "App/Q refers to App/Cache, whose condition is false.")


def test_what_a_macro_may_add_is_not_missed():
    template = {**of(Q=resource(QUEUE, QueueName={"Ref": "FromTheMacro"})), "Transform": "AWS::Serverless-2016-10-31"}
    assert refused(template) == []


def test_resources_that_wait_for_each_other():
    circle = of(
        A=resource(QUEUE, path="App/A", attributes={"DependsOn": "B"}),
        B=resource(QUEUE, path="App/B", RedrivePolicy={"deadLetterTargetArn": {"Fn::GetAtt": ["C", "Arn"]}}),
        C=resource(QUEUE, path="App/C", QueueName={"Fn::Sub": "${A.QueueName}-dead"}),
        D=resource(QUEUE, path="App/D", attributes={"DependsOn": ["A", "B", "C"]}),
    )
    [(error, what)] = refused(circle)
    assert error == "circular-dependency"
    assert what.endswith("wait for each other: App/A → App/B → App/C → App/A.")


def test_many_resources_that_wait_for_many_are_no_circle():
    names = [f"Q{number}" for number in range(200)]
    waiting = {name: resource(QUEUE, attributes={"DependsOn": names[:place]}) for place, name in enumerate(names)}
    assert refused(of(**waiting)) == []


def test_a_resource_that_becomes_one_of_another_type():
    before, after = of(X=resource(QUEUE, path="App/X")), of(X=resource("AWS::SNS::Topic", path="App/X"))
    [(error, what)] = refused(after, before)
    assert error == "resource-type-changed"
    assert "App/X is AWS::SQS::Queue in the account and AWS::SNS::Topic in the app" in what


def test_more_than_a_stack_can_be_given():
    both = compared(of(), of())
    given = replace(both.stack, tags={str(number): "x" for number in range(51)}, parameters={"Long": "x" * 4097})
    assert [(error.id, error.what) for error in template_refusals(replace(both, stack=given))] == [
        ("over-limit", "The stack shop has 51 tags, ours included; CloudFormation takes 50."),
        ("over-limit", "The parameter Long of the stack shop has 4097 bytes; CloudFormation takes 4096."),
    ]


def test_a_name_that_is_exported_twice():
    def exporting(stack: str, name: Any) -> Comparison:
        outputs = {"Url": {"Value": "1", "Export": {"Name": name}}}
        return compared(of(), of({"End": "url"}, Outputs=outputs), stack)

    one = exporting("one", "shop-url")
    assert list(export_refusals([one, exporting("other", {"Fn::Sub": "${AWS::StackId}-url"})])) == []
    [error] = export_refusals([one, exporting("other", {"Fn::Sub": "shop-${End}"})])
    assert (error.id, error.what) == ("duplicate-export", "The stacks one and other both export 'shop-url'.")


def test_properties_that_a_type_does_not_have_or_demands():
    function = resource("AWS::Lambda::Function", path="App/F", Code={"S3Buckt": "b"}, MemroySize=1, Role="arn")
    assert suspected(of(F=function)) == [
        ("unknown-property", "App/F (AWS::Lambda::Function) has no property Code.S3Buckt.", "Did you mean S3Bucket?"),
        ("unknown-property", "App/F (AWS::Lambda::Function) has no property MemroySize.", "Did you mean MemorySize?"),
    ]
    [(error, what, _)] = suspected(of(F=resource("AWS::Lambda::Function", path="App/F", Code={"ZipFile": "x"})))
    assert (error, what) == ("missing-property", "App/F (AWS::Lambda::Function) lacks the property Role.")


def test_an_attribute_that_a_type_does_not_have():
    outputs = {"Url": {"Value": {"Fn::GetAtt": ["Q", "QueueURL"]}}}
    [(error, what, remedy)] = suspected(of(Q=resource(QUEUE, path="App/Q"), Outputs=outputs))
    assert (error, remedy) == ("unknown-property", "Did you mean QueueUrl?")
    assert what == "The output Url asks App/Q (AWS::SQS::Queue) for QueueURL, which it does not have."


def test_values_that_only_a_deploy_knows_and_types_that_nobody_knows_are_not_suspected():
    unknown = resource("Acme::Our::Thing", Anything={"Goes": 1})
    custom = resource("Custom::Thing", ServiceToken="arn", Anything=1)
    later = resource("AWS::Lambda::Function", Role={"Fn::GetAtt": ["C", "Role"]}, Code={"Fn::GetAtt": ["C", "Code"]})
    assert suspected(of(U=unknown, C=custom, F=later)) == []
