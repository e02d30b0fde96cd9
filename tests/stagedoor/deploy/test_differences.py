"""What a plan says of each resource. The templates are as CDK writes them."""

from typing import Any

from stagedoor.deploy.comparison.differences import ChangeAction, ValueChange, difference
from stagedoor.deploy.comparison.resource_types.making import table
from stagedoor.deploy.comparison.resource_types.reading import Replacement, resource_type
from tests.stagedoor.deploy.compared import changes, compared, of, resource

TABLE = "AWS::DynamoDB::Table"
FUNCTION = "AWS::Lambda::Function"


def key(name: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": "HASH"}]


def test_a_property_that_changes_is_told_with_its_path_and_both_values():
    before = of(F=resource(FUNCTION, path="App/F", MemorySize=128, Environment={"Variables": {"A": "1", "B": "2"}}))
    after = of(F=resource(FUNCTION, path="App/F", MemorySize=256, Environment={"Variables": {"A": "1", "C": "3"}}))
    [change] = changes(before, after).values()
    assert (change.action, change.replacement, change.loses_data) == (ChangeAction.MODIFY, Replacement.NEVER, False)
    assert change.properties == (
        ValueChange("MemorySize", 128, 256),
        ValueChange("Environment.Variables.B", "2", None),
        ValueChange("Environment.Variables.C", None, "3"),
    )


def test_what_is_added_and_removed():
    found = changes(of(Old=resource("AWS::SQS::Queue", path="App/Old")), of(New=resource(FUNCTION, path="App/New")))
    assert found["App/New"].action is ChangeAction.ADD
    assert (found["App/Old"].action, found["App/Old"].loses_data) == (ChangeAction.REMOVE, True)


def test_a_table_with_another_key_is_replaced_and_loses_its_data_unless_it_is_retained():
    def table(name: str, policy: str) -> dict[str, Any]:
        retained = {"DeletionPolicy": policy, "UpdateReplacePolicy": policy}
        return of(T=resource(TABLE, attributes=retained, KeySchema=key(name)))

    lost, kept = (
        changes(table("a", "Delete"), table("b", "Delete")),
        changes(table("a", "Retain"), table("b", "Retain")),
    )
    assert (lost["T"].replacement, lost["T"].loses_data, lost["T"].kept) == (Replacement.ALWAYS, True, False)
    assert (kept["T"].replacement, kept["T"].loses_data, kept["T"].kept) == (Replacement.ALWAYS, False, True)


def test_a_database_is_removed_with_a_snapshot_unless_the_template_says_otherwise():
    kind = "AWS::RDS::DBInstance"
    assert not changes(of(D=resource(kind)), of())["D"].loses_data
    assert changes(of(D=resource(kind, attributes={"DeletionPolicy": "Delete"})), of())["D"].loses_data


def test_what_refers_to_a_replaced_resource_changes_and_is_replaced_where_its_type_demands_it():
    def network(cidr: str) -> dict[str, Any]:
        return of(
            Vpc=resource("AWS::EC2::VPC", path="Net/Vpc", CidrBlock=cidr),
            Subnet=resource("AWS::EC2::Subnet", path="Net/Subnet", VpcId={"Ref": "Vpc"}, CidrBlock="10.0.0.0/24"),
            F=resource(FUNCTION, path="App/F", VpcConfig={"SubnetIds": [{"Ref": "Subnet"}]}),
            Other=resource("AWS::SQS::Queue", path="App/Other"),
        )

    found = changes(network("10.0.0.0/16"), network("10.1.0.0/16"))
    assert [(path, one.replacement) for path, one in found.items()] == [
        ("Net/Vpc", Replacement.ALWAYS),
        ("Net/Subnet", Replacement.ALWAYS),
        ("App/F", Replacement.NEVER),
    ]
    assert found["App/F"].cause == "Net/Subnet is replaced"
    assert found["App/F"].properties[0].path == "VpcConfig"


def test_a_new_value_of_a_parameter_shows_where_it_is_used():
    body = {"Q": resource("AWS::SQS::Queue", VisibilityTimeout={"Ref": "Seconds"})}
    [change] = changes(of({"Seconds": "30"}, **body), of({"Seconds": "60"}, **body)).values()
    assert change.properties == (ValueChange("VisibilityTimeout", "30", "60"),)


def test_a_condition_that_turns_false_removes_its_resource():
    def shop(size: str) -> dict[str, Any]:
        queue = resource("AWS::SQS::Queue", attributes={"Condition": "Large"})
        return of({"Size": size}, Conditions={"Large": {"Fn::Equals": [{"Ref": "Size"}, "large"]}}, Q=queue)

    assert changes(shop("large"), shop("small"))["Q"].action is ChangeAction.REMOVE
    assert changes(shop("small"), shop("large"))["Q"].action is ChangeAction.ADD
    assert changes(shop("small"), shop("small")) == {}


def test_another_way_to_write_the_same_is_no_change():
    def queue(**properties: Any) -> dict[str, Any]:
        return of(B=resource("AWS::S3::Bucket"), Q=resource("AWS::SQS::Queue", **properties))

    assert not changes(
        queue(DelaySeconds=5, FifoQueue=True, QueueName={"Fn::Join": ["", ["a-", {"Ref": "AWS::Region"}, "-b"]]}),
        queue(DelaySeconds="5", FifoQueue="true", QueueName={"Fn::Sub": "a-${AWS::Region}-b"}),
    )
    assert not changes(
        queue(Tags=[{"Key": "a", "Value": {"Fn::Join": ["", [{"Fn::GetAtt": ["B", "Arn"]}, "/*"]]}}]),
        queue(Tags=[{"Key": "a", "Value": {"Fn::Sub": ["${X}${Y}", {"X": {"Fn::GetAtt": "B.Arn"}, "Y": "/*"}]}}]),
    )


def test_where_assets_lie_on_the_authors_disk_is_no_change():
    def function(asset: str) -> dict[str, Any]:
        return of(F=resource(FUNCTION, attributes={"Metadata": {"aws:asset:path": asset, "Own": "note"}}))

    assert changes(function("asset.1"), function("asset.2")) == {}


def test_secrets_in_a_template_are_hidden_and_references_to_them_are_not():
    def database(password: Any) -> dict[str, Any]:
        variables = {"DB_PASSWORD": password, "DB_PASSWORD_ARN": password}
        return of(F=resource(FUNCTION, Environment={"Variables": variables}))

    [hidden] = changes(database("hunter2"), database("hunter3")).values()
    assert [(one.before, one.after) for one in hidden.properties] == [("****", "****"), ("hunter2", "hunter3")]
    [shown] = changes(database("hunter2"), database("{{resolve:ssm-secure:db}}")).values()
    assert shown.properties[0].after == "{{resolve:ssm-secure:db}}"


def test_what_a_custom_resource_does_is_its_own_codes_choice():
    def custom(word: str) -> dict[str, Any]:
        return of(C=resource("Custom::Thing", ServiceToken="arn", Word=word))

    assert changes(custom("a"), custom("b"))["C"].replacement is Replacement.MAYBE


def test_outputs_and_their_exports():
    both = compared(
        of(Outputs={"Gone": {"Value": "1"}, "Same": {"Value": "2"}}),
        of(Outputs={"Same": {"Value": "2"}, "New": {"Value": "3", "Export": {"Name": "three"}}}),
    )
    assert difference(both.before, both.after, {}).outputs == (
        ValueChange("New", None, {"Value": "3", "Export": "three"}),
        ValueChange("Gone", "1", None),
    )


def test_how_the_table_of_types_is_made():
    reference = {"type": "ref", "reference": {"$ref": "7"}}
    database = {
        "schema": {
            "resource": {
                "entities": [
                    {
                        "cloudFormationType": "AWS::Acme::Thing",
                        "attributes": {"Arn": {}},
                        "properties": {
                            "Name": {"type": {"type": "string"}, "causesReplacement": "yes", "required": True},
                            "Rules": {"type": {"type": "array", "element": reference}, "causesReplacement": "maybe"},
                            "ByName": {"type": {"type": "map", "element": reference}},
                            "Either": {"type": {"type": "union", "types": [reference, {"type": "string"}]}},
                        },
                    }
                ]
            },
            "typeDefinition": {"entities": [{"$id": "7", "properties": {"Rules": {"type": reference}}}]},
        }
    }
    member = table(database)["AWS::Acme"]
    assert member["types"]["AWS::Acme::Thing"] == {
        "properties": {"Name": ["yr", None], "Rules": ["m", "7"], "ByName": ["*", "7"], "Either": ["", None]},
        "attributes": ["Arn"],
    }
    assert member["shapes"] == {"7": {"Rules": ["", "7"]}}


def test_the_table_of_types_says_what_replaces_deep_inside_too():
    members = resource_type("AWS::EC2::Instance").members
    assert members.rule("ImageId").replacement is Replacement.ALWAYS
    assert members.rule("InstanceType").replacement is Replacement.MAYBE
    assert resource_type("AWS::Lambda::Function").members.rule("Code").members.rule("S3Key") is not None
    assert "Arn" in resource_type("AWS::Lambda::Function").attributes
    assert resource_type("Custom::Thing") is None
