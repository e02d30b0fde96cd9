"""Requests that arrive when they are due, whether or not those before them were answered.

Latency is counted from the moment a request was due, not from when it could be sent, so a server that stalls pays for
everything that queued behind the stall. Arrivals are a Poisson process: webhooks do not take turns.
"""

import asyncio
import gc
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

TIMEOUT_SECONDS = 30
CANNOT_CONNECT = 0


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round: seconds from due to answered, sorted, and how often each status came."""

    latencies: tuple[float, ...]
    statuses: Counter[int]
    seconds: float

    def percentile(self, percent: float) -> float:
        """Return the latency, in milliseconds, that this share of requests did not exceed (nearest rank)."""
        rank = math.ceil(len(self.latencies) * percent / 100)
        return self.latencies[max(rank, 1) - 1] * 1000


def run_round(port: int, requests: Sequence[bytes], per_second: float, seed: int) -> Round:
    """Send raw HTTP/1.1 requests to a port of this machine, on average `per_second` of them."""
    gc.collect()
    gc.disable()  # a pause here would be charged to the server
    try:
        return asyncio.run(_Load(port).run(requests, per_second, seed))
    finally:
        gc.enable()


class _Load:
    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, requests: Sequence[bytes], per_second: float, seed: int) -> Round:
        arrivals = random.Random(seed)
        loop = asyncio.get_running_loop()
        begin = due = loop.time() + 0.1
        sent = []
        for request in requests:
            due += arrivals.expovariate(per_second)
            await asyncio.sleep(max(0.0, due - loop.time()))
            sent.append(asyncio.create_task(self._answered(request, due)))
        answers = await asyncio.gather(*sent)
        for _, writer in self._idle:
            writer.close()
        return Round(
            tuple(sorted(latency for _, latency in answers)),
            Counter(status for status, _ in answers),
            loop.time() - begin,
        )

    async def _answered(self, request: bytes, due: float) -> tuple[int, float]:
        loop = asyncio.get_running_loop()
        try:
            status = await asyncio.wait_for(self._send(request), TIMEOUT_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            status = CANNOT_CONNECT
        return status, loop.time() - due

    async def _send(self, request: bytes) -> int:
        """Send on a connection that is idle, or a new one, and return the answer's status."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])


def wait_until_answering(port: int, seconds: float = 60) -> None:
    """Return when something accepts connections at the port; raise `TimeoutError` when nothing does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            asyncio.run(_connect(port))
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing answers at port {port}")


async def _connect(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
