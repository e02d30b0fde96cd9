"""Which part of the service a process is. One image has them all; `stagedoor serve` is every one on one machine."""

from enum import StrEnum


class Role(StrEnum):
    """What a front door answers: webhooks, pages and the API (`WEB`), tunnels (`RELAY`), or both (`ALL`).

    The relay's paths all begin with /live, so that a load balancer can tell them apart.
    """

    WEB = "web"
    RELAY = "relay"
    ALL = "all"

    @property
    def has_web(self) -> bool:
        """Whether webhooks, pages and the API are answered."""
        return self is not Role.RELAY

    @property
    def has_relay(self) -> bool:
        """Whether tunnels and bridges are."""
        return self is not Role.WEB
