"""What functions of an app have that say nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from constructs import Construct, IConstruct


@dataclass(frozen=True, slots=True)
class FunctionDefaults:
    """Settings of every function that does not have its own.

    `memory` is in MiB, `timeout` in seconds. `runtime` is Lambda's name of it (`python3.12`); by default that of the
    Python that runs the app, and Node 22. `architecture` is `x86_64` or `arm64`. `environment` is added to a
    function's.
    """

    memory: int = 256
    timeout: float = 20
    python: str | None = None
    node: str = "nodejs22.x"
    architecture: str = "x86_64"
    environment: Mapping[str, str] = field(default_factory=dict)


_DEFAULTS: "WeakKeyDictionary[IConstruct, FunctionDefaults]" = WeakKeyDictionary()


def set_defaults(root: Construct, defaults: FunctionDefaults) -> None:
    """Make these the defaults of all functions below a construct."""
    _DEFAULTS[root] = defaults


def defaults_of(scope: Construct) -> FunctionDefaults:
    """Return the defaults that hold for a construct: the nearest above it, else ours."""
    for above in reversed(scope.node.scopes):
        if above in _DEFAULTS:
            return _DEFAULTS[above]
    return FunctionDefaults()
