"""What must not happen: calls lost or run twice while connections and processes break, and one's call at another's."""

import asyncio
import json
import signal
import time
from collections import Counter
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from bench.live.callers import Answer, Callers
from bench.live.place import Place, place
from bench.results import Result
from bench.rows import Row

CALLS, CUTS, RESTARTS, AT_ONCE = 10_000, 200, 5, 40
NAMED = 250
GRACE_S = 8.0

CUT = """
**Cuts and restarts.** {calls:,} calls from {at_once} callers, whose handlers each append the request's id to one file
(`O_APPEND`) and take 0 to 20 ms. Meanwhile every connection is broken {cuts} times, in turn those between agent and
service and those between callers and service (a TCP proxy in each place sends RST both ways), and the service is ended
by SIGTERM and started again on its port {restarts} times. It took {seconds:.0f} s. {again:,} of the calls were asked
for more than once; {deployed} were answered by deployed code, which counts as a run. The agent connected
{connected} times.
"""

KILLED = """
**Agent killed.** SIGKILL to the agent's process when the relay has said that the agent has custody; what the caller
then gets is `{kind}`. The shorter cut lasts {cut:g} s, in which nobody gets through to the service; the handler runs on
meanwhile, and its answer is the caller's. Five of each at once, each developer's own by name.
"""

FOUR = """
**Four developers.** Four agents of four developers on one stage; {calls:,} calls at once, each named for one of them,
half by the header `x-stagedoor-developer` of an HTTP event and half by the client context. The handler says whose
process it runs in.
"""


@dataclass(frozen=True, slots=True)
class Toll:
    """What an ordeal came to. `lost` are calls with an error, no answer, or one of a handler that never ran."""

    calls: int
    lost: int
    twice: int
    again: int
    deployed: int
    cuts: int
    restarts: int
    connected: int
    seconds: float
    errors: tuple[str, ...] = ()


async def cuts(_rounds: int) -> Row:
    """Count what is lost or run twice in one long ordeal."""
    async with place() as here:
        toll = await ordeal(here, CALLS, CUTS, RESTARTS)
    for error in toll.errors:
        print(f"  {error}")
    against = f"{toll.calls:,} calls, {toll.cuts} cuts, {toll.restarts} restarts"
    how = CUT.format(
        calls=toll.calls,
        at_once=AT_ONCE,
        cuts=toll.cuts,
        restarts=toll.restarts,
        seconds=toll.seconds,
        again=toll.again,
        deployed=toll.deployed,
        connected=toll.connected,
    )
    return Row(
        (
            Result("calls lost", toll.lost, "calls", "0", toll.lost == 0, against),
            Result("calls run twice", toll.twice, "calls", "0", toll.twice == 0, against),
        ),
        how,
    )


async def ordeal(here: Place, calls: int, cuts: int, restarts: int, *, rolling: bool = False) -> Toll:
    """Make calls while connections are cut and the service is restarted, evenly over their number.

    `rolling`: the new service is there before the old one ends, as where several machines serve. Else nobody is for as
    long as one takes to end and the next to start, and where that takes longer than the grace, calls are lost.
    """
    agents_wire, callers_wire = await here.wire(), await here.wire()
    agent = await here.agent(port=agents_wire.port, concurrency=10)
    callers = here.callers(callers_wire.port)
    runs = here.folder / "runs"
    runs.touch()
    answers: list[Answer] = []
    numbers = iter(range(calls))

    async def caller() -> None:
        for number in numbers:
            event = {"runs": str(runs), "seconds": number % 5 * 0.005}
            answers.append(await callers.call("bench-notes", json.dumps(event).encode()))

    async def break_things() -> None:
        deeds = [(calls * (n + 1) // (cuts + 1), "cut") for n in range(cuts)]
        deeds += [(calls * (n + 1) // (restarts + 1), "restart") for n in range(restarts)]
        for number, (when, deed) in enumerate(sorted(deeds)):
            while len(answers) < when:
                await asyncio.sleep(0.001)
            if deed == "restart" and rolling:
                await here.service.replace((agents_wire, callers_wire))
            elif deed == "restart":
                await here.service.stop()
                await here.service.start()
            else:
                (agents_wire, callers_wire)[number % 2].cut()

    began = time.monotonic()
    breaking = asyncio.create_task(break_things())
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await breaking
    ran = Counter(runs.read_text().split())
    ran.update(answer.request_id for answer in answers if answer.kind == "deployed")
    lost = [answer for answer in answers if not _answered(answer) or not ran[answer.request_id]]
    return Toll(
        calls=len(answers),
        lost=len(lost) + calls - len(answers),
        twice=sum(times > 1 for times in ran.values()),
        again=sum(answer.asked > 1 for answer in answers),
        deployed=sum(answer.kind == "deployed" for answer in answers),
        cuts=cuts,
        restarts=restarts,
        connected=agent.count("connected"),
        seconds=time.monotonic() - began,
        errors=tuple(f"{answer.body.decode(errors='replace')[:200]} ({answer.asked})" for answer in lost[:20]),
    )


def _answered(answer: Answer) -> bool:
    return answer.kind == "deployed" or (answer.kind == "response" and answer.document == answer.request_id)


async def killed(rounds: int) -> Row:
    """Measure when the caller of a killed agent is told, and what a cut shorter than the grace costs."""
    async with place() as here:
        told = await asyncio.gather(*(kill_in_the_middle(here, f"killed{n}") for n in range(rounds)))
        cut = await asyncio.gather(*(cut_in_the_middle(here, f"cut{n}", GRACE_S - 3) for n in range(rounds)))
    seconds = round(median(after for after, _ in told), 2)
    wrong = sum(answer.kind != "error" or b"Stagedoor.Disconnected" not in answer.body for _, answer in told)
    lost = sum(not _answered(answer) or times != 1 for answer, times in cut)
    met = GRACE_S - 0.5 <= seconds <= GRACE_S + 1
    return Row(
        (
            Result("agent killed: the caller gets an error after", seconds, "s", "8 s, and 1 at most", met, ""),
            Result("of them, another answer", wrong, "calls", "0", wrong == 0, f"{rounds} kills"),
            Result("a cut of 5 s: lost, or run twice", lost, "calls", "0", lost == 0, f"{rounds} cuts"),
        ),
        KILLED.format(kind=told[0][1].body.decode(), cut=GRACE_S - 3),
    )


async def kill_in_the_middle(here: Place, developer: str) -> tuple[float, Answer]:
    """Kill an agent that has a call in its hands; return how long the caller waited from then on, and for what."""
    agent = await here.agent(developer)
    custody = asyncio.Event()
    call = asyncio.create_task(_noted(here, here.callers(), developer, 30, custody))
    await custody.wait()
    await agent.end(signal.SIGKILL)
    began = time.monotonic()
    answer = await call
    return time.monotonic() - began, answer


async def cut_in_the_middle(here: Place, developer: str, seconds: float) -> tuple[Answer, int]:
    """Keep an agent and its caller from the service while the agent has a call; return what came of it, how often."""
    agents_wire, callers_wire = await here.wire(), await here.wire()
    await here.agent(developer, port=agents_wire.port)
    custody = asyncio.Event()
    call = asyncio.create_task(_noted(here, here.callers(callers_wire.port), developer, seconds / 2, custody))
    await custody.wait()
    for wire in (agents_wire, callers_wire):
        wire.down = True
        wire.cut()
    await asyncio.sleep(seconds)
    agents_wire.down = callers_wire.down = False
    answer = await call
    return answer, (here.folder / developer).read_text().split().count(answer.request_id)


async def _noted(here: Place, callers: Callers, developer: str, seconds: float, custody: asyncio.Event) -> Answer:
    event = {"runs": str(here.folder / developer), "seconds": seconds, "headers": {"x-stagedoor-developer": developer}}
    return await callers.call("bench-notes", json.dumps(event).encode(), in_custody=custody)


async def developers(rounds: int) -> Row:
    """Count calls that came to another than the one that they named."""
    async with place() as here:
        wrong = sum([await strangers(here, NAMED, number) for number in range(rounds)])
    calls = NAMED * 4 * rounds
    return Row(
        (Result("four developers: calls at another's", wrong, "calls", "0", wrong == 0, f"{calls:,} calls"),),
        FOUR.format(calls=NAMED * 4),
    )


async def strangers(here: Place, calls: int, number: int = 0) -> int:
    """Make so many calls for each of four developers; return how many were answered by somebody else, or nobody."""
    names = [f"{name}{number}" for name in ("ann", "bob", "cid", "dee")]
    agents = await asyncio.gather(*(here.agent(name, concurrency=2) for name in names))
    callers = here.callers()

    async def right(name: str, by_header: bool) -> bool:
        event = {"headers": {"X-Stagedoor-Developer": name}} if by_header else {}
        context = json.dumps({"custom": {"stagedoor-developer": name}})  # as Lambda hands it to a runtime
        headers = {} if by_header else {"Lambda-Runtime-Client-Context": context}
        answer = await callers.call("bench-whose", json.dumps(event).encode(), request_id=str(uuid4()), headers=headers)
        return answer.kind == "response" and answer.document == name

    named = [(name, turn % 2 == 0) for turn in range(calls) for name in names]
    came = await asyncio.gather(*(right(name, by_header) for name, by_header in named))
    await asyncio.gather(*(agent.end() for agent in agents))
    return came.count(False)
