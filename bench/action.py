"""How long the Action's first two modes take to start: `python -m bench.action`.

From the runner's shell to the first request that the service's side gets, and to the first line of the app's program.
Nothing is installed and nothing waited for: it is what the step costs besides what it is for.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.results import Result, write_results

ROOT = Path(__file__).resolve().parents[1]

SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
ROUNDS = 21
BAR = 1.0  # seconds
HEAD = "0123456789abcdef0123456789abcdef01234567"


def main() -> int:
    """Measure, write the results down, and return 0 when the bar was met."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        medians = {"ask": _median(place, _ask), "synth": _median(place, _synth)}
    told = {
        "ask": "from the step's shell to its first request, which is for the job's identity",
        "synth": "from the step's shell to the first line of the app's program",
    }
    results = [
        Result(f"start of mode `{mode}`", round(median, 3), "s", f"< {BAR:g} s", median < BAR, told[mode])
        for mode, median in medians.items()
    ]
    met = write_results("action", "The Action's start", results, _HOW, ["stagedoor"])
    for result in results:
        print(f"{result.metric}: {result.value} {result.unit}")
    return 0 if met else 1


def _median(place: Path, once: Callable[[Path], float]) -> float:
    return statistics.median([once(place) for _ in range(ROUNDS)])


def _ask(place: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tokens = {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}
        began = time.perf_counter()
        process = _start("ask", place, {**tokens, "INPUT_SERVER": url})
        connection, _ = listener.accept()
        connection.recv(1)
        took = time.perf_counter() - began
        connection.close()
        process.kill()
        process.wait()
    return took


def _synth(place: Path) -> float:
    workspace = place / "workspace"
    workspace.mkdir(exist_ok=True)
    (workspace / "cdk.json").write_text('{"app": "echo begun; exit 1"}')
    began = time.perf_counter()
    process = _start("synth", place, {})
    assert process.stdout is not None
    while b"synth | begun" not in process.stdout.readline():
        pass
    took = time.perf_counter() - began
    process.communicate()
    return took


def _start(step: str, place: Path, more: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    event = place / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7, "head": {"sha": HEAD}}}))
    env = {
        "PATH": os.environ["PATH"],
        "GITHUB_ACTION_PATH": str(ROOT),
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "acme/notes",
        "GITHUB_WORKSPACE": str(place / "workspace"),
        "RUNNER_TEMP": str(place),
        **more,
    }
    script = f'exec python3 -I "$GITHUB_ACTION_PATH/action" {step}'
    return subprocess.Popen([*SHELL, script], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


_HOW = f"""
Medians of {ROUNDS} starts, with the very command of `action.yml`'s steps. What the service does is not in it; on a
runner GitHub fetches the action's repository before.
"""

if __name__ == "__main__":
    sys.exit(main())
