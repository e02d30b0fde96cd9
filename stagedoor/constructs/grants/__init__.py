"""What each resource gives to code that is bound to it: the one place where permissions are decided.

In comes a resource of aws-cdk-lib, those inside our own constructs too; out comes a `Binding`. Every action is named,
and every resource; where AWS has no narrower form it says so with AWS's page, and docs/constructs.md lists it. Actions
and the resources that they take:
https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html.

One file a service, loaded when it is needed: an app that has a table does not wait for S3. `table.py` is a good one to
begin with.
"""

from importlib import import_module

from stagedoor.constructs.binding import Binding
from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError

_KINDS = {
    ("aws_dynamodb", "ITable"): "table",
    ("aws_dynamodb", "ITableV2"): "table",
    ("aws_s3", "IBucket"): "bucket",
    ("aws_sqs", "IQueue"): "queue",
    ("aws_sns", "ITopic"): "topic",
    ("aws_events", "IEventBus"): "event_bus",
    ("aws_lambda", "IFunction"): "function",
    ("aws_secretsmanager", "ISecret"): "secret",
    ("aws_ssm", "IStringParameter"): "parameter",
}
"""Interfaces of aws-cdk-lib, and the module in here that has a function `<module>_binding`."""


def binding_of_cdk(resource: object) -> Binding:
    """Return what a construct of aws-cdk-lib gives; its name is its id. Raises `ConstructError` for one that cannot be
    bound.
    """
    node = getattr(resource, "node", None)
    for (module, interface), ours in _KINDS.items():
        if node is not None and is_a(resource, module, interface):
            grants = import_module(f"{__name__}.{ours}")
            binding: Binding = getattr(grants, f"{ours}_binding")(resource, node.id)
            return binding
    raise ConstructError(
        f"{type(resource).__name__} cannot be bound.",
        "Give the function what it needs by its environment and add_to_role_policy.",
        getattr(node, "path", ""),
    )
