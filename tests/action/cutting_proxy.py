"""An HTTP proxy that cuts event streams, as networks and load balancers do: each later than the one before."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """A running proxy: the first stream is cut after `after` bytes, the next after twice as many, and so on.

    `cuts` counts them. `url` is for the variable `http_proxy`.
    """

    def __init__(self, after: int) -> None:
        self._after = after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head, _, rest = self._until_blank_line(client).partition(b"\r\n")
            method, target, version = head.decode().split(" ")
            parts = urlsplit(target)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            with socket.create_connection((parts.hostname or "", parts.port or 80)) as server:
                server.sendall(f"{method} {path} {version}\r\n".encode() + rest)
                threading.Thread(target=self._copy, args=(client, server), daemon=True).start()
                self._answer(server, client, self._after * (self.cuts + 1) if "/stream" in path else None)

    def _answer(self, server: socket.socket, client: socket.socket, room: int | None) -> None:
        while data := server.recv(4096):
            if room is not None and len(data) >= room:
                client.sendall(data[:room])
                self.cuts += 1
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)  # to close it is not enough while a thread reads from it
                return
            client.sendall(data)
            room = None if room is None else room - len(data)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data)

    @staticmethod
    def _until_blank_line(client: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(4096)
            if not more:
                raise OSError("closed")
            data += more
        return data
