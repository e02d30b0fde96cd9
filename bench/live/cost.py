"""What the tunnel costs in time: small events, the largest ones, and a thousand at once."""

import asyncio
import hashlib
import json
import math
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from uuid import uuid4

from bench.live.agent_process import local_function
from bench.live.place import Place, place
from bench.peers import CACHE
from bench.results import Result
from bench.rows import Row
from stagedoor.live.functions import Invocation
from stagedoor.live.python_worker.command import PythonCommands
from stagedoor.live.workers.pool import WorkerPool

PAIRS = 500
LARGE_CALLS = 100
SIX_MEGABYTES = 6 * 1024 * 1024
AT_ONCE, CONCURRENCY, HANDLER_S = 1000, 50, 0.05

ADDED = """
**Added by the tunnel.** A handler that returns its event (1 KB of JSON) on a warm Python worker, called through the
tunnel and, on the other side, by the same worker pool in the caller's process: the same Runtime API and awslambdaric,
no bridge, relay or agent between. {pairs} calls of each side a round, in turn, one at a time. The answers' bytes are
compared.

| round | direct p50 | tunnel p50 | direct p99 | tunnel p99 |
|---|---|---|---|---|
{table}
"""

LARGE = """
**6 MB there and back.** The event is {size:,} bytes: random characters from all of Unicode, U+2028 and NUL among
them. The handler says the SHA-256 of the text that it got and returns it. {calls} calls a round, one after the other;
Python's own reading and writing of the JSON is part of the time. p50 and p99 of each round: {rounds}.
"""

THOUSAND = """
**1,000 at once.** {calls} callers at once, a handler that sleeps 50 ms, `--concurrency {concurrency}`, workers warm:
ideal are {ideal:g} s. All of it (relay, agent, {concurrency} workers and callers) shares the machine's {cores} cores;
callers, relay and agent are on uvloop. Seconds of each round: {rounds}. Processor time for one call, in the
middle: {processor}; {total:.2f} ms together, with which these cores can do {most:.0f} % of the ideal at most, if
nothing else runs on them. Of the relay's, two fifths are the servers' and the loop's own (uvicorn,
websockets), the rest is spread thin over routing, custody and records; of the workers', most is awslambdaric itself
and waking up twice. A machine with more cores, as where a service does not share one with its developers, has room.
"""


def percentile(times: Sequence[float], percent: float) -> float:
    """Return the value that this share did not exceed (nearest rank)."""
    return sorted(times)[max(math.ceil(len(times) * percent / 100), 1) - 1]


async def added(rounds: int) -> Row:
    """Measure what the tunnel adds to a call of 1 KB."""
    event = json.dumps({"note": "é" * 100 + "x" * 780, "tags": ["a", "b"]}).encode()
    assert 1000 <= len(event) <= 1600
    table: list[str] = []
    differences: list[float] = []
    unlike = 0
    async with place() as here, direct() as pool:
        await here.agent()
        callers = here.callers()
        for number in range(-1, rounds):
            times: dict[str, list[float]] = {"direct": [], "tunnel": []}
            for _ in range(PAIRS):
                began = time.perf_counter()
                outcome = await pool.run(_invocation("bench-echo", event))
                middle = time.perf_counter()
                answer = await callers.call("bench-echo", event)
                times["tunnel"].append((time.perf_counter() - middle) * 1000)
                times["direct"].append((middle - began) * 1000)
                unlike += outcome.body != answer.body or answer.kind != "response"
            if number < 0:
                continue
            differences.append(percentile(times["tunnel"], 50) - percentile(times["direct"], 50))
            cells = [f"{percentile(times[side], share):.2f} ms" for share in (50, 99) for side in times]
            table.append(f"| {number + 1} | " + " | ".join(cells) + " |")
    value = round(median(differences), 2)
    against = "the same worker pool and awslambdaric without a tunnel"
    return Row(
        (
            Result("added by the tunnel, 1 KB, p50", value, "ms", "≤ 2 ms", value <= 2, against),
            Result("answers whose bytes differ", unlike, "answers", "0", unlike == 0, against),
        ),
        ADDED.format(pairs=PAIRS, table="\n".join(table)),
    )


@asynccontextmanager
async def direct() -> AsyncIterator[WorkerPool]:
    """The worker pool of an agent, without the agent."""
    pool = WorkerPool({"bench-echo": local_function("bench-echo")}, PythonCommands(CACHE), 1, lambda _: None)
    try:
        yield pool
    finally:
        await pool.close()


def _invocation(function: str, event: bytes) -> Invocation:
    now = int(time.time() * 1000)
    request_id = str(uuid4())
    return Invocation(request_id, function, request_id, "", now + 60_000, now + 900_000, {}, event, now)


async def six_megabytes(rounds: int) -> Row:
    """Measure the largest events and answers, and look at each byte of them."""
    text = text_of_all_unicode(SIX_MEGABYTES - 200)
    event = json.dumps({"text": text, "more": ""}, ensure_ascii=False).encode()
    event = event[:-2] + b"x" * (SIX_MEGABYTES - len(event)) + event[-2:]
    sha = hashlib.sha256(text.encode()).hexdigest()
    p50s: list[float] = []
    p99s: list[float] = []
    broken = 0
    async with place() as here:
        await here.agent()
        callers = here.callers()
        for number in range(-1, rounds):
            times = []
            for _ in range(LARGE_CALLS if number >= 0 else 5):
                began = time.perf_counter()
                answer = await callers.call("bench-large", event)
                times.append((time.perf_counter() - began) * 1000)
                broken += answer.kind != "response" or answer.document != {"sha256": sha, "text": text}
            if number >= 0:
                p50s.append(percentile(times, 50))
                p99s.append(percentile(times, 99))
    value = round(median(p99s), 1)
    told = ", ".join(f"{p50:.0f} and {p99:.0f} ms" for p50, p99 in zip(p50s, p99s, strict=True))
    return Row(
        (
            Result("6 MB event and answer, p99", value, "ms", "≤ 300 ms", value <= 300, "reading the JSON included"),
            Result("6 MB event and answer, p50", round(median(p50s), 1), "ms", "", True, "reading the JSON included"),
            Result("of them, not intact", broken, "calls", "0", broken == 0, f"{rounds * LARGE_CALLS + 5} calls"),
        ),
        LARGE.format(size=len(event), calls=LARGE_CALLS, rounds=told),
    )


def text_of_all_unicode(size: int) -> str:
    """Return a text that has so many bytes in a JSON document, or a few less: any character but the surrogates.

    It is measured as awslambdaric writes it, which escapes U+2028 and U+2029.
    """
    chance = random.Random(0)
    pieces: list[str] = []
    left = size
    while left > 0:
        special = chance.choice('\u2028\u2029\0é"\\\n\x7f\ufeff\uffff')
        some = [chance.randrange(0x20, 0xD800), chance.randrange(0xE000, 0x110000), chance.randrange(0x20, 0x7F)]
        piece = special + "".join(map(chr, some)) + "x" * chance.randrange(200)
        written = json.dumps(piece, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        left -= len(written.encode()) - 2
        pieces.append(piece)
    return "".join(pieces[:-1])


async def thousand(rounds: int) -> Row:
    """Measure the throughput of a thousand calls at once."""
    ideal = AT_ONCE * HANDLER_S / CONCURRENCY
    event = json.dumps({"seconds": HANDLER_S}).encode()
    seconds: list[float] = []
    wrong = 0
    processor: dict[str, list[float]] = {"relay": [], "agent": [], "workers": [], "callers": []}
    async with place() as here:
        agent = await here.agent(concurrency=CONCURRENCY)
        callers = here.callers()
        for number in range(-1, rounds):
            before = _processor(here, agent.pid)
            began = time.perf_counter()
            answers = await asyncio.gather(*(callers.call("bench-waits", event) for _ in range(AT_ONCE)))
            took = time.perf_counter() - began
            wrong += sum(answer.kind != "response" or answer.asked > 2 for answer in answers)
            if number >= 0:
                seconds.append(took)
                for name, used in _processor(here, agent.pid).items():
                    processor[name].append((used - before[name]) / AT_ONCE * 1000)
    share = round(100 * ideal / median(seconds), 1)
    told = ", ".join(f"{name} {median(used):.2f} ms" for name, used in processor.items())
    total = sum(median(used) for used in processor.values())
    least = AT_ONCE * total / 1000 / (os.cpu_count() or 1)
    return Row(
        (
            Result("1,000 calls at once, throughput", share, "%", "≥ 90 % of ideal", share >= 90, f"ideal {ideal:g} s"),
            Result("of them, without an answer", wrong, "calls", "0", wrong == 0, f"{(rounds + 1) * AT_ONCE} calls"),
        ),
        THOUSAND.format(
            calls=AT_ONCE,
            concurrency=CONCURRENCY,
            ideal=ideal,
            cores=os.cpu_count(),
            rounds=", ".join(f"{took:.2f}" for took in seconds),
            processor=told,
            total=total,
            most=100 * min(1.0, ideal / max(least, 1e-9)),
        ),
    )


def _processor(here: Place, agent: int) -> dict[str, float]:
    """Return the seconds of processor time that each part has used; {} of zeros where the system does not tell."""
    if sys.platform != "linux":
        return dict.fromkeys(("relay", "agent", "workers", "callers"), 0.0)
    return {
        "relay": _used(here.service.pid),
        "agent": _used(agent),
        "workers": sum(map(_used, _children(agent))),
        "callers": time.process_time(),
    }


def _used(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as children:
            found += map(int, children.read().split())
    return found
