"""How often may be asked what nobody is logged in for: each address, and all of them together.

In one process, and no library for it: what Flask-Limiter adds to such counters is their storage, and that of its
moving windows in memory (limits 5.8) keeps each address that ever asked, for good.
"""

import asyncio
import threading
import time
from collections import deque
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from weakref import WeakValueDictionary

from starlette.types import Scope

from service.access.errors import AccessError, TooMany

MOST_ADDRESSES = 10_000
_LONGEST_ADDRESS = 64
_NETWORK_BITS = 64


class TooManyFromAddress(AccessError):
    """One address asks more often than one needs to."""

    id = "too-many-requests"
    status = 429

    def __init__(self) -> None:
        super().__init__("Your address has asked for this too often in the last minute.", "Try again in a minute.")


class Rate:
    """At most so many a minute, whoever asks."""

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether there is room for one more now, which is taken."""
        moment = time.monotonic()
        with self._lock:
            if len(self._times) == self._times.maxlen and self._times[0] > moment - 60:
                return False
            self._times.append(moment)
        return True


class Limit:
    """So many a minute from `each` address, and from `all` of them. Of addresses the last 10,000 are known."""

    def __init__(self, each: int, all: int | None = None) -> None:
        self._of = lru_cache(MOST_ADDRESSES)(lambda _network: Rate(each))
        self._all = Rate(all) if all else None

    def check(self, address: str | None) -> None:
        """Raise `TooManyFromAddress` or `TooMany` where there is no room. What one address asks for beyond its own
        takes nothing from the others.
        """
        if not self._of(network_of(address or "")).take():
            raise TooManyFromAddress
        if self._all is not None and not self._all.take():
            raise TooMany


class Turns:
    """What each address may have of something at a time: its others wait. Of one event loop."""

    def __init__(self, each: int) -> None:
        self._each = each
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, scope: Scope) -> asyncio.Semaphore:
        """Return the turns of whoever sent a request; they are forgotten when nobody has or awaits one."""
        network = network_of(_address_of(scope))
        turns = self._of.get(network)
        if turns is None:
            turns = self._of[network] = asyncio.Semaphore(self._each)
        return turns


def _address_of(scope: Scope) -> str:
    """Return who asks, as the proxy in front says it, or the connection."""
    said = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    client = scope.get("client")
    return said[-1].decode("latin-1").rpartition(",")[2].strip() if said else (client[0] if client else "")


def network_of(address: str) -> str:
    """Return what stands for whoever has an address: of IPv6 the /64, as a single host has as many addresses as it
    likes in its own (RFC 7421). What is no address stands for itself.
    """
    try:
        known = ip_address(address)
    except ValueError:
        return address[:_LONGEST_ADDRESS]
    if not isinstance(known, IPv6Address):
        return str(known)
    return str(known.ipv4_mapped or ip_network((int(known), _NETWORK_BITS), strict=False))
