"""The state that goes with the browser to GitHub and back: signed, for a while, once."""

import hashlib
import hmac
import secrets
from collections.abc import Callable

from stagedoor.errors import UserError

LIFE_SECONDS = 900.0


class StateRefused(UserError):
    """A browser came back with a state that is not, or no more, ours."""

    id = "setup-state-refused"

    def __init__(self, what: str) -> None:
        super().__init__(what, "Open the page that `stagedoor setup` named, and begin again there.")


class States:
    """The states of one run of `stagedoor setup`. The key is made for it and dies with it.

    A state belongs to the browser that asked for it: `browser` is what its cookie says.
    """

    def __init__(self, clock: Callable[[], float], life: float = LIFE_SECONDS) -> None:
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._life = life
        self._used: set[str] = set()

    def make(self, browser: str) -> str:
        """Return a state for a browser."""
        said = f"{secrets.token_urlsafe(16)}.{int(self._clock() + self._life)}"
        return f"{said}.{self._signature(said, browser)}"

    def use(self, state: str, browser: str) -> None:
        """Take a state, which is then used up; raises `StateRefused`."""
        said, _, signature = state.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(said, browser).encode()):
            raise StateRefused("This answer belongs to another browser or another run of `stagedoor setup`.")
        if self._clock() > int(said.rpartition(".")[2]):
            raise StateRefused("GitHub's answer came too late.")
        if state in self._used:
            raise StateRefused("This answer was used before.")
        self._used.add(state)

    def _signature(self, said: str, browser: str) -> str:
        return hmac.new(self._key, f"{said}\n{browser}".encode(), hashlib.sha256).hexdigest()
