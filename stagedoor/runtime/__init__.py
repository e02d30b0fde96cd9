"""Inside a handler: the resources that it is bound to.

    from stagedoor.runtime import Secret, Table
    Table.Notes.table_name
    Secret.StripeKey.value

What is bound comes by the environment, one variable for each resource, which the deploy has filled in. Nothing of the
rest of Stagedoor is imported, and at a cold start nothing but the standard library. `resources.py` is the file to read,
then `stored_values.py` (secrets); `testing.py` is for unit tests. What there is has types where `stagedoor types` wrote
them down in `stagedoor_resources.pyi`; without that file all of it is `Any`.
"""

from stagedoor.runtime.resources import NotBound, Resources, kind_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from stagedoor.runtime.stored_values import ValueNotRead as ValueNotRead
    from stagedoor.runtime.stored_values import ValueNotSet as ValueNotSet
    from stagedoor_resources import Api as Api
    from stagedoor_resources import Bucket as Bucket
    from stagedoor_resources import EventBus as EventBus
    from stagedoor_resources import Function as Function
    from stagedoor_resources import Parameter as Parameter
    from stagedoor_resources import Queue as Queue
    from stagedoor_resources import Secret as Secret
    from stagedoor_resources import StaticSite as StaticSite
    from stagedoor_resources import Table as Table
    from stagedoor_resources import Topic as Topic
else:

    def __getattr__(name: str) -> "Resources | type":
        """Return the resources of a kind: `Table`, `Bucket`, …; or an error that only whoever catches it needs."""
        if name in ("ValueNotRead", "ValueNotSet"):
            from stagedoor.runtime import stored_values

            return getattr(stored_values, name)
        return kind_named(name)


__all__ = ["NotBound"]
