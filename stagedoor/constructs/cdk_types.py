"""Whether something is of a type of aws-cdk-lib's, without importing the type."""

import sys


def is_a(thing: object, module: str, interface: str) -> bool:
    """Whether `thing` implements an interface of aws-cdk-lib: `is_a(queue, "aws_sqs", "IQueue")`.

    What nobody has imported nobody has an instance of; so a type's module is looked up and never loaded. To Python an
    interface is a protocol, which `isinstance` does not ask. jsii writes the interfaces of a class into
    `__jsii_ifaces__`, and what it knows by its interfaces alone, as much of what was imported into an app, is a proxy.
    """
    loaded = sys.modules.get(f"aws_cdk.{module}")
    if loaded is None:
        return False
    kind = getattr(loaded, interface)
    for part in getattr(thing, "_delegates", (thing,)):
        if isinstance(part, kind.__jsii_proxy_class__()):
            return True
        for each in type(part).__mro__:
            if any(kind in found.__mro__ for found in getattr(each, "__jsii_ifaces__", ())):
                return True
    return False
