"""Who may do more or less after a deploy."""

from typing import Any

from stagedoor.deploy.comparison.differences import ChangeAction
from stagedoor.deploy.comparison.permissions import PermissionChange, PermissionKind, permission_changes
from tests.stagedoor.deploy.compared import compared, of, resource


def permissions(before: dict[str, Any], after: dict[str, Any]) -> tuple[PermissionChange, ...]:
    both = compared(before, after)
    return permission_changes(both.before, both.after, both.paths)


def statement(*actions: str, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return of(
        Role=resource("AWS::IAM::Role", path="App/F/ServiceRole"),
        Policy=resource("AWS::IAM::Policy", path="App/F/Policy", Roles=[{"Ref": "Role"}], PolicyDocument=document),
    )


def test_a_wider_statement_is_told_with_the_role_that_gets_it():
    removed, added = permissions(policy(statement("s3:GetObject")), policy(statement("s3:GetObject", "s3:*")))
    assert (removed.action, added.action) == (ChangeAction.REMOVE, ChangeAction.ADD)
    assert added.subject == "App/F/ServiceRole"
    assert added.rule == {"Effect": "Allow", "Action": ["s3:*", "s3:GetObject"], "Resource": ["*"]}


def test_order_and_single_values_and_the_policy_that_holds_them_are_no_change():
    before = policy(statement("a:Get", "a:Put"), {"Effect": "Allow", "Action": "b:Get", "Resource": "*", "Sid": "One"})
    after = policy(statement("b:Get"), statement("a:Put", "a:Get"))
    assert permissions(before, after) == ()
    role = after["Resources"]["Role"]
    role["Properties"]["Policies"] = [after["Resources"].pop("Policy")["Properties"]]
    assert permissions(before, after) == ()


def test_managed_policies_and_who_may_assume_a_role():
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
    arn = "arn:aws:iam::aws:policy/AdministratorAccess"
    role = resource("AWS::IAM::Role", path="App/Role", AssumeRolePolicyDocument=trust, ManagedPolicyArns=[arn])
    told = permissions(of(), of(R=role))
    assert [(one.kind, one.subject) for one in told] == [
        (PermissionKind.STATEMENT, "App/Role"),
        (PermissionKind.MANAGED_POLICY, "App/Role"),
    ]
    assert told[1].rule == {"Policy": arn}


def test_policies_of_resources_and_of_functions_wherever_a_type_keeps_them():
    document = {"Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Principal": "*"}}
    queue = resource("AWS::SQS::QueuePolicy", path="App/Q", Queues=[{"Ref": "Q"}], PolicyDocument=document)
    bus = resource("AWS::Events::EventBus", path="App/Bus", Policy=document)
    call = resource(
        "AWS::Lambda::Permission",
        path="App/F/Permission",
        Action="lambda:InvokeFunction",
        FunctionName={"Fn::GetAtt": ["F", "Arn"]},
        Principal="s3.amazonaws.com",
        SourceAccount={"Ref": "AWS::AccountId"},
    )
    told = {one.subject: one.rule for one in permissions(of(), of(Q=queue, B=bus, P=call))}
    assert told["App/Q"]["Principal"] == told["App/Bus"]["Principal"] == "*"
    assert told["App/F/Permission"]["Condition"] == {"StringEquals": {"AWS:SourceAccount": "111122223333"}}


def test_a_port_that_is_opened_and_one_that_is_closed():
    def group(port: int) -> dict[str, Any]:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "0.0.0.0/0"}
        out: dict[str, Any] = {"GroupId": {"Fn::GetAtt": ["G", "GroupId"]}, "IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}
        return of(
            G=resource("AWS::EC2::SecurityGroup", path="App/Group", SecurityGroupIngress=[rule]),
            E=resource("AWS::EC2::SecurityGroupEgress", path="App/Egress", **out),
        )

    removed, added = permissions(group(443), group(22))
    assert (removed.kind, removed.rule["FromPort"], added.rule["FromPort"]) == (PermissionKind.INGRESS, 443, 22)
    assert permissions(of(), group(22))[1].subject == "App/Group"
