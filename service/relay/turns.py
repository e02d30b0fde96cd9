"""Of many who come at once, some begin in each turn of the loop.

A thousand calls that come together are a thousand tasks of one turn: each would say what it has to before anything of
that leaves, so the first would wait for the last.
"""

import asyncio
from collections import deque

AT_ONCE = 16


class Turns:
    """Lets so many begin in a turn, in the order in which they came."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._left = at_once
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def take(self) -> None:
        """Return when it is the caller's turn: at once, unless many have begun in this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        mine = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = self._at_once
        while self._waiting and self._left:
            first = self._waiting.popleft()
            if not first.done():  # whoever waited may have gone
                first.set_result(None)
                self._left -= 1
        self._turning = bool(self._waiting) or self._left < self._at_once
        if self._turning:
            loop.call_soon(self._turn, loop)
