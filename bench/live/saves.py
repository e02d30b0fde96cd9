"""What a save of a file comes to: how soon the new code answers, and what happens to the calls under way."""

import asyncio
import json
import time
from pathlib import Path
from statistics import median

from bench.live.callers import Answer, Callers
from bench.live.cost import percentile
from bench.live.place import place
from bench.results import Result
from bench.rows import Row

SAVES = 20
PYTHON_MS, TYPESCRIPT_MS = 80, 120

PYTHON = """\
import json
import time

import boto3

from shared import WORD


def handler(event, context):
    time.sleep(event["seconds"])
    return WORD
"""
TYPESCRIPT = """\
import { WORD } from './shared';

export const handler = async (event: { seconds: number }): Promise<string> => {
  await new Promise((done) => setTimeout(done, event.seconds * 1000));
  return WORD;
};
"""

HOW = """
**Saves.** The clock runs from the end of the write to the file until a caller that asks again and again has an answer
by the new code. The file is not the handler's own but one that it imports. The Python function imports boto3 as well;
the TypeScript function is bundled by esbuild. {saves} saves of each language a round, 0.3 s apart, and at each a call
of 0.15 s is under way that was begun before it; each of those must be answered by the code that it began with.

| | p50 of each round | p99 of all |
|---|---|---|
{table}
"""


async def saves(rounds: int) -> Row:
    """Measure from a save to an answer by the new code, and count the calls that a save killed."""
    async with place() as here:
        python, typescript = sources(here.folder / "app")
        agent = await here.agent(live={"bench-python": python, "bench-typescript": typescript})
        await agent.until("ready")
        callers = here.callers()
        taken: dict[str, list[list[float]]] = {}
        killed = 0
        for function, shared in (("bench-python", python), ("bench-typescript", typescript)):
            file = Path(shared["root"]) / ("shared.py" if function == "bench-python" else "shared.ts")
            taken[function] = []
            for number in range(-1, rounds):
                times = []
                for turn in range(SAVES if number >= 0 else 3):
                    milliseconds, was_killed = await one_save(callers, function, file, f"r{number}t{turn}")
                    times.append(milliseconds)
                    killed += was_killed
                    await asyncio.sleep(0.3)
                if number >= 0:
                    taken[function].append(times)
    results = []
    for function, bar in (("bench-python", PYTHON_MS), ("bench-typescript", TYPESCRIPT_MS)):
        value = round(median(percentile(times, 50) for times in taken[function]), 1)
        language = "Python" if function == "bench-python" else "TypeScript"
        metric = f"save to answer by new code, {language}, p50"
        results.append(Result(metric, value, "ms", f"≤ {bar} ms", value <= bar, ""))
    calls = f"{2 * (rounds * SAVES + 3)} calls, one under way at each save"
    results.append(Result("calls killed by a save", killed, "calls", "0", killed == 0, calls))
    rows = [
        f"| {name.removeprefix('bench-')} | {', '.join(f'{percentile(times, 50):.0f}' for times in each)} ms "
        f"| {percentile([one for times in each for one in times], 99):.0f} ms |"
        for name, each in taken.items()
    ]
    return Row(tuple(results), HOW.format(saves=SAVES, table="\n".join(rows)))


def sources(app: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Write the two functions' code; return where each is."""
    files = {
        "python/app.py": PYTHON,
        "python/shared.py": "WORD = 'first'\n",
        "typescript/handler.ts": TYPESCRIPT,
        "typescript/shared.ts": "export const WORD = 'first';\n",
    }
    for name, text in files.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    python = {"runtime": "python3.13", "handler": "app.handler", "root": str(app / "python")}
    typescript = {"runtime": "nodejs22.x", "handler": "index.handler", "root": str(app / "typescript")}
    return python, typescript | {"entry": "handler.ts", "output": "index.js"}


async def one_save(callers: Callers, function: str, file: Path, word: str) -> tuple[float, bool]:
    """Save a word in a file; return the milliseconds until it is the answer, and whether a call was killed by that."""
    before = (await _asked(callers, function, 0)).document
    under_way = asyncio.create_task(_asked(callers, function, 0.15))
    await asyncio.sleep(0.05)
    text = f"WORD = '{word}'\n"
    file.write_text(text if file.suffix == ".py" else f"export const {text}")
    began = time.perf_counter()
    while True:
        answer = await _asked(callers, function, 0)
        if answer.kind != "response":
            raise AssertionError(f"after a save: {answer.body!r}")
        if answer.document == word:
            break
    milliseconds = (time.perf_counter() - began) * 1000
    old = await under_way
    return milliseconds, old.kind != "response" or old.document != before


async def _asked(callers: Callers, function: str, seconds: float) -> Answer:
    return await callers.call(function, json.dumps({"seconds": seconds}).encode())
