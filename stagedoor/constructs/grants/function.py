"""Lambda functions: to call them."""

from typing import Any

from stagedoor.constructs.binding import Binding, statement


def function_binding(function: Any, name: str, url: Any = None) -> Binding:
    """Return what a function gives, or a version or an alias of one: that one may be called, and no other. `url` is its
    own, where it has one: requests to one of IAM's are to be signed, and need a permission of their own
    (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html).
    """
    invoke = [statement("lambda:InvokeFunction", function.function_arn)]
    properties = {"function_name": function.function_name}
    if url is not None:
        properties["url"] = url.url
        if url.auth_type.value == "AWS_IAM":
            invoke.append(statement("lambda:InvokeFunctionUrl", function.function_arn))
    return Binding("Function", name, function, properties, {"invoke": tuple(invoke)}, ("invoke",))
