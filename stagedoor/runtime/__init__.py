"""Inside a handler: the resources that it is bound to.

    from stagedoor.runtime import Table
    Table.Notes.table_name

What is bound comes by the environment, one variable for each resource, which the deploy has filled in. Nothing of the
rest of Stagedoor is imported, and at a cold start nothing but the standard library. `resources.py` is the file to read.
"""

from stagedoor.runtime.resources import NotBound, Resources, kind_named

__all__ = ["NotBound"]


def __getattr__(name: str) -> Resources:
    """Return the resources of a kind: `Table`, `Bucket`, …"""
    return kind_named(name)
