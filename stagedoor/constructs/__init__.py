"""Constructs on top of aws-cdk-lib that know their stage and can be bound to each other.

In come a scope and a few words, out come aws-cdk-lib's own constructs, in `.nodes`. Each construct is in the module of
its name; read `binding.py` first (what a resource gives), `bind_code.py`, then `grants/` (which permissions) and
`function.py`. Modules are imported when a name of theirs is asked for: an app that has a table does not wait for
CloudFront.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stagedoor.app import App as App
    from stagedoor.app import Stack as Stack
    from stagedoor.constructs.api import Api as Api
    from stagedoor.constructs.bind_code import bind as bind
    from stagedoor.constructs.bucket import Bucket as Bucket
    from stagedoor.constructs.cron import Cron as Cron
    from stagedoor.constructs.defaults import FunctionDefaults as FunctionDefaults
    from stagedoor.constructs.errors import ConstructError as ConstructError
    from stagedoor.constructs.event_bus import EventBus as EventBus
    from stagedoor.constructs.function import Function as Function
    from stagedoor.constructs.parameter import Parameter as Parameter
    from stagedoor.constructs.queue import Queue as Queue
    from stagedoor.constructs.script import Script as Script
    from stagedoor.constructs.secret import Secret as Secret
    from stagedoor.constructs.static_site import StaticSite as StaticSite
    from stagedoor.constructs.table import Table as Table
    from stagedoor.constructs.topic import Topic as Topic

_MODULES = {
    "App": "stagedoor.app",
    "Stack": "stagedoor.app",
    "Api": "stagedoor.constructs.api",
    "bind": "stagedoor.constructs.bind_code",
    "FunctionDefaults": "stagedoor.constructs.defaults",
    "ConstructError": "stagedoor.constructs.errors",
    "Function": "stagedoor.constructs.function",
    "Bucket": "stagedoor.constructs.bucket",
    "Cron": "stagedoor.constructs.cron",
    "EventBus": "stagedoor.constructs.event_bus",
    "Parameter": "stagedoor.constructs.parameter",
    "Queue": "stagedoor.constructs.queue",
    "Secret": "stagedoor.constructs.secret",
    "Topic": "stagedoor.constructs.topic",
    "Script": "stagedoor.constructs.script",
    "StaticSite": "stagedoor.constructs.static_site",
    "Table": "stagedoor.constructs.table",
}

__all__ = [
    "Api",
    "App",
    "Bucket",
    "ConstructError",
    "Cron",
    "EventBus",
    "Function",
    "FunctionDefaults",
    "Parameter",
    "Queue",
    "Script",
    "Secret",
    "Stack",
    "StaticSite",
    "Table",
    "Topic",
    "bind",
]


def __getattr__(name: str) -> Any:
    """Import the module of a construct when it is asked for."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name all constructs."""
    return sorted({*globals(), *_MODULES})
