"""What users of our constructs write, read: overrides by node."""

from collections.abc import Iterable, Mapping
from typing import Any

from stagedoor.constructs.errors import ConstructError


def keyed(cdk: Mapping[str, Mapping[str, Any]] | None, node: str) -> dict[str, Any]:
    """Return what a user's `cdk` says of one node: arguments of the aws-cdk-lib construct, which come before ours."""
    return dict((cdk or {}).get(node, {}))


def check_nodes(cdk: Mapping[str, Any] | None, *nodes: str, where: str = "") -> None:
    """Raise `ConstructError` for overrides of a node that a construct does not have."""
    unknown = [name for name in cdk or {} if name not in nodes]
    if unknown:
        raise ConstructError(
            f"There is no node {', '.join(unknown)} that `cdk` could override.",
            f"There are: {', '.join(nodes)}.",
            where,
        )


def check_words(said: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    """Raise `ConstructError` for keys of a user's mapping that mean nothing. `what` begins the sentence."""
    unknown = sorted(set(said) - set(known))
    if unknown:
        raise ConstructError(
            f"{what} has no {', '.join(map(repr, unknown))}.", f"It may have: {', '.join(sorted(known))}.", where
        )
