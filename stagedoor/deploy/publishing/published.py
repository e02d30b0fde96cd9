"""What was seen in a bucket or a registry a short while ago, so that it is not asked about again.

This is a memory and never the truth. It is bound to one bootstrap, so it ends with it; an entry is forgotten an hour
after AWS last said that the asset is there, since other programs (`cdk gc`, a lifecycle rule, a person) take assets
away; and all of it is forgotten when a deploy fails, as a missing asset may be why.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

REMEMBERED_SECONDS = 3600.0


class Published(Protocol):
    """The memory of what is published. `place` names one bootstrap; an address is an object's key or an image's tag."""

    def present(self, place: str) -> frozenset[str]:
        """Return the addresses that were there within the last hour."""

    def add(self, place: str, addresses: Iterable[str], seen: float) -> None:
        """Remember that AWS said at `seen`, in seconds since the epoch, that these are there."""

    def forget(self, place: str) -> None:
        """Forget all about a place."""


class Forgetful:
    """Remembers nothing: each deploy asks AWS."""

    def present(self, place: str) -> frozenset[str]:
        """Return nothing."""
        return frozenset()

    def add(self, place: str, addresses: Iterable[str], seen: float) -> None:
        """Do nothing."""

    def forget(self, place: str) -> None:
        """Do nothing."""


class PublishedFiles:
    """Remembers in a folder, one small file for each place.

    Two processes that write at once lose one another's additions at worst, which costs a question to AWS. A file that
    cannot be read counts as empty, and one that cannot be written as not written.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock

    def present(self, place: str) -> frozenset[str]:
        """Return the addresses that were there within the last hour."""
        return frozenset(self._read(place))

    def add(self, place: str, addresses: Iterable[str], seen: float) -> None:
        """Remember these, and drop what is too old."""
        known = self._read(place) | dict.fromkeys(addresses, seen)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".new", delete=False) as file:
                json.dump(known, file)
            os.replace(file.name, self._file(place))
        except OSError:
            return

    def forget(self, place: str) -> None:
        """Take the place's file away."""
        self._file(place).unlink(missing_ok=True)

    def _file(self, place: str) -> Path:
        return self._folder / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"

    def _read(self, place: str) -> dict[str, float]:
        try:
            known = json.loads(self._file(place).read_text())
            now = self._clock()
            return {name: seen for name, seen in known.items() if 0 <= now - seen < REMEMBERED_SECONDS}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
