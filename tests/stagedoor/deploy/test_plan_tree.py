"""A plan as a person reads it."""

from typing import Any

from rich.console import Console

from stagedoor.deploy.comparison.differences import difference
from stagedoor.deploy.comparison.permissions import permission_changes
from stagedoor.deploy.decision import Action
from stagedoor.deploy.plan import Plan, StackPlan
from stagedoor.deploy.plan_tree import plan_tree, summary
from tests.stagedoor.deploy.compared import compared, of, resource


def shop(key: str, actions: list[str]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": {"Fn::Sub": "${Bucket.Arn}/*"}}
    return of(
        Other=resource("AWS::SQS::Queue", path="Data/Other", DelaySeconds=len(actions)),
        Bucket=resource("AWS::S3::Bucket", path="Data/Bucket"),
        Role=resource("AWS::IAM::Role", path="Data/Role", Policies=[{"PolicyDocument": {"Statement": statement}}]),
        Table=resource("AWS::DynamoDB::Table", path="Data/Table", KeySchema=[{"AttributeName": key}]),
        F=resource("AWS::Lambda::Function", path="Data/F", Environment={"Variables": {"TABLE": {"Ref": "Table"}}}),
    )


def test_permissions_come_first_then_what_loses_data_then_the_rest():
    both = compared(shop("id", ["s3:Get*"]), shop("key", ["s3:Get*", "s3:List*"]))
    changes = difference(both.before, both.after, both.paths)
    permissions = permission_changes(both.before, both.after, both.paths)
    stack = StackPlan("shop-Data", "Data", Action.UPDATE, "its template changes", None, changes, permissions)
    plan = Plan(stacks=(stack,))
    console = Console(width=200)
    with console.capture() as captured:
        console.print(plan_tree(plan))
    assert [line.rstrip() for line in captured.get().splitlines()] == [
        "shop-Data is updated: its template changes",
        "├── Permissions",
        "│   ├── - Data/Role: Allow s3:Get* on ${Bucket.Arn}/*",
        "│   └── + Data/Role: Allow s3:Get*, s3:List* on ${Bucket.Arn}/*",
        "└── Resources",
        "    ├── ~ Data/Table  AWS::DynamoDB::Table  is replaced, loses its data",
        "    │   └── ~ KeySchema.0.AttributeName: id → key  replaces",
        "    ├── ~ Data/Other  AWS::SQS::Queue",
        "    │   └── ~ DelaySeconds: 1 → 2",
        "    ├── ~ Data/Role  AWS::IAM::Role",
        '    │   └── ~ Policies.0.PolicyDocument.Statement.Action: ["s3:Get*"] → ["s3:Get*", "s3:List*"]',
        "    └── ~ Data/F  AWS::Lambda::Function: Data/Table is replaced",
        '        └── Environment: {"Variables": {"TABLE": "${Table}"}}  (Data/Table is replaced)',
    ]
    assert summary(plan) == "1 stack changes; resources: 3 modified, 1 replaced. 1 of them loses data."


def test_what_an_app_writes_does_not_move_the_cursor():
    both = compared(
        of(), of(Q=resource("AWS::SQS::Queue", path="App/\x1b[2J"), Outputs={"A": {"Value": "a\nb\x1b]0;x\x07"}})
    )
    changes = difference(both.before, both.after, both.paths)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(
            plan_tree(Plan(stacks=(StackPlan("shop", "A", Action.CREATE, "it does not exist", None, changes),)))
        )
    assert "\x1b" not in captured.get()
    assert "+ A: a\\nb\\x1b]0;x\\x07" in captured.get()
