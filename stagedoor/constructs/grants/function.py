"""Lambda functions: to call them."""

from typing import Any

from stagedoor.constructs.binding import Binding, statement


def function_binding(function: Any, name: str) -> Binding:
    """Return what a function gives, or a version or an alias of one: that one may be called, and no other."""
    invoke = (statement("lambda:InvokeFunction", function.function_arn),)
    return Binding(
        "Function", name, function, {"function_name": function.function_name}, {"invoke": invoke}, ("invoke",)
    )
