"""Whether a handler sees in the tunnel what it sees without us: one suite of handlers, run both ways, as tests."""

import asyncio
import re
import sys

from bench.peers import ROOT
from bench.results import Result
from bench.rows import Row

SUITES = ("tests/stagedoor/live/agent/test_fidelity.py", "tests/stagedoor/live/bridge/test_same_outcome.py")

HOW = """
**Fidelity.** Handlers that look into everything of their context, log, fail in each way, and end their process are run
by awslambdaric without us and through ours, and their outcomes are compared: {suites}, which `make test` runs as well.
"""


async def fidelity(_rounds: int) -> Row:
    """Run the suites once, and count."""
    command = (sys.executable, "-m", "pytest", "-n0", "-q", *SUITES)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    counts = {word: int(number) for number, word in re.findall(rb"(\d+) (passed|failed|skipped|error)", printed)}
    passed = counts.pop(b"passed", 0)
    unlike = counts.get(b"failed", 0) + counts.get(b"error", 0)
    met = process.returncode == 0 and passed > 0
    if not met:
        print(printed.decode(errors="replace")[-3000:])
    return Row(
        (
            Result(
                "Python fidelity: tests that differ", unlike, "tests", "0", met, f"{passed} tests the same both ways"
            ),
        ),
        HOW.format(suites=" and ".join(f"`{suite}`" for suite in SUITES)),
    )
