"""uvicorn, which lets go of tunnels only after what is under way in them has ended or moved on."""

import socket
from collections.abc import Awaitable, Callable

import uvicorn


class DrainingServer(uvicorn.Server):
    """A server that does something before it stops, while it still answers: uvicorn's own first act is to close every
    WebSocket.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop."""
        if not self.force_exit:
            await self._drain()
        await super().shutdown(sockets)
