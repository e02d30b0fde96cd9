"""What a bridge costs where nobody is connected: the real one, with the real runtime behind it."""

import asyncio
import io
import time
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from aiohttp import web

from bench.live.agent_process import HANDLERS
from bench.live.cost import percentile
from bench.live.place import ACCOUNT, Place, place
from bench.results import Result
from bench.rows import Row
from stagedoor.live.bridge_layer import WRAPPER, layer_zip
from tests.stagedoor.assembly.conftest import python_with
from tests.stagedoor.live.bridge.sandbox import Sandbox

CALLS = 200
NOWHERE = "http://127.0.0.1:9"

HOW = """
**Nobody connected.** The layer as it is deployed, its wrapper started as Lambda's bootstrap starts it, awslambdaric
behind it, and before it a server that does what Lambda's Runtime API does (the tests': endpoints, states and words of
AWS's own emulator). Beside it the same without the wrapper. {calls} warm calls of each a round, in turn; a cold start
is the time from the process to its first `/next`, one a round. The service is asked for each event, and says that
nobody is there. Where the service cannot be reached at all it is asked every 5 s.

| | p50 of a warm call | p99 | cold start |
|---|---|---|---|
{table}
"""


async def nobody(rounds: int) -> Row:
    """Measure what a bridge adds to deployed code that answers."""
    async with sts() as endpoint, place(AWS_ENDPOINT_URL_STS=endpoint) as here:
        taken = await asyncio.to_thread(_measured, here, endpoint, rounds)
    rows = [
        f"| {side} | {percentile(warm, 50):.2f} ms | {percentile(warm, 99):.2f} ms | {median(cold):.0f} ms |"
        for side, (warm, cold) in taken.items()
    ]
    bare, bridged, alone = taken.values()
    added = round(percentile(bridged[0], 50) - percentile(bare[0], 50), 2)
    late = round(percentile(bridged[0], 99) - percentile(bare[0], 99), 2)
    cold = round(median(bridged[1]) - median(bare[1]), 1)
    cut_off = round(percentile(alone[0], 50) - percentile(bare[0], 50), 2)
    against = "the runtime without a bridge"
    return Row(
        (
            Result("nobody connected: added to a warm call, p50", added, "ms", "≤ 100 ms", added <= 100, against),
            Result("nobody connected: added to a warm call, p99", late, "ms", "", True, against),
            Result("nobody connected: added to a cold start", cold, "ms", "≤ 100 ms", cold <= 100, against),
            Result("no service: added to a warm call, p50", cut_off, "ms", "≤ 100 ms", cut_off <= 100, against),
        ),
        HOW.format(calls=CALLS, table="\n".join(rows)),
    )


def _measured(here: Place, endpoint: str, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return milliseconds of warm calls and of cold starts, by side."""
    python = str(python_with("awslambdaric"))
    command = [python, "-m", "awslambdaric", "app.echo"]
    live = _environment(here, endpoint)
    sides = {
        "the runtime alone": {name: value for name, value in live.items() if "LIVE" not in name and "WRAP" not in name},
        "a bridge, nobody connected": live,
        "a bridge, no service": live | {"STAGEDOOR_LIVE_SERVER": NOWHERE},
    }
    taken: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in sides}
    for number in range(-1, rounds):
        sandboxes = {name: Sandbox(command, environment, code=HANDLERS) for name, environment in sides.items()}
        for name, sandbox in sandboxes.items():
            sandbox.__enter__()
            began = time.perf_counter()
            assert sandbox.init() == "ready", sandbox.log
            if number >= 0:
                taken[name][1].append((time.perf_counter() - began) * 1000)
        for turn in range(-10, CALLS):
            for name, sandbox in sandboxes.items():
                began = time.perf_counter()
                outcome = sandbox.invoke({"turn": turn})
                if turn >= 0 <= number:
                    taken[name][0].append((time.perf_counter() - began) * 1000)
                assert (outcome.error, outcome.document) == ("", {"turn": turn}), sandbox.log
        for sandbox in sandboxes.values():
            sandbox.__exit__()
    return taken


def _environment(here: Place, endpoint: str) -> dict[str, str]:
    folder = here.folder / "opt"
    with zipfile.ZipFile(io.BytesIO(layer_zip())) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    return {
        "AWS_LAMBDA_FUNCTION_NAME": "bench-echo",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_SESSION_TOKEN": "a token",
        "AWS_ENDPOINT_URL_STS": endpoint,
        "_HANDLER": "app.echo",
        "AWS_LAMBDA_EXEC_WRAPPER": str(folder / Path(WRAPPER).relative_to("/opt")),
        "STAGEDOOR_LIVE_SERVER": here.service.url,
        "STAGEDOOR_LIVE_STAGE": str(here.service.stage_id),
        "STAGEDOOR_LIVE_TIMEOUT": "60",
    }


@asynccontextmanager
async def sts() -> AsyncIterator[str]:
    """Run an STS that takes every signature for that of the function's role; yields its URL."""

    async def caller(_request: web.Request) -> web.Response:
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/bench-role/bench-echo"
        return web.Response(text=f"<Arn>{arn}</Arn>", content_type="text/xml")

    app = web.Application()
    app.router.add_get("/", caller)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
