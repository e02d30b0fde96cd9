"""EventBridge's event buses."""

from typing import Any

from stagedoor.constructs.binding import Binding, statement


def event_bus_binding(bus: Any, name: str) -> Binding:
    """Return what an event bus gives."""
    put = (statement("events:PutEvents", bus.event_bus_arn),)
    return Binding("EventBus", name, bus, {"event_bus_name": bus.event_bus_name}, {"put": put}, ("put",))
