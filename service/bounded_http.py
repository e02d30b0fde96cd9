"""HTTP/1 by httptools, with the bound that it lacks: h11 gives up what does not end in 64 KB, httptools never does.

It puts each piece of a name or a value behind what it has, in memory: 200 MB of one header took as much, and the loop
for 44 s.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD_BYTES = 64 * 1024


class BoundedHttp(HttpToolsProtocol):
    """A connection that is closed when so many bytes bring neither the end of a head nor anything of a body."""

    _pending_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._pending_bytes += len(data)
        super().data_received(data)
        # Of a request's head, or of what follows the last chunk of its body.
        if self._pending_bytes > LARGEST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Something of a body is there."""
        self._pending_bytes = 0
        super().on_body(body)
