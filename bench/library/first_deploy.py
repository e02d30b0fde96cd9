"""From an empty folder to a URL that answers: `stagedoor init && stagedoor deploy`."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from bench.peers import ROOT
from bench.results import Result
from bench.rows import Row
from demo.aws.server import DEFAULT_ACCOUNT, LocalAws

HOW = """
**First deploy.** The clock runs from `stagedoor init` in an empty folder to the answer with status 200 of the URL that
`stagedoor deploy` printed, against the local AWS, whose account is bootstrapped before. The first with an empty cache:
the library's wheel is built, versions are looked for, all packages are downloaded, and aws-cdk-lib is unpacked; the
second, in another empty folder and another account, with the caches of the first.

| | init | deploy | the first answer |
|---|---|---|---|
{rows}
"""


def first_deploy(_rounds: int) -> Row:
    """Measure it once with empty caches and once with what that left. There is no bar and no peer: it is told."""
    results: list[Result] = []
    rows: list[str] = []
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as place:
        for name in ("nothing cached", "packages cached"):
            folder = Path(place, name.split()[0], "notes")
            folder.mkdir(parents=True)
            with LocalAws(folder.parent / "aws") as aws:
                parts = _begin(folder, aws, Path(place, "cache"))
            total = round(sum(parts), 1)
            rows.append(f"| {name} | " + " | ".join(f"{seconds:.1f} s" for seconds in parts) + " |")
            results.append(Result(f"empty folder to URL, {name}", total, "s", "", True, "init, deploy and one request"))
    return Row(tuple(results), HOW.format(rows="\n".join(rows)))


def _begin(folder: Path, aws: LocalAws, cache: Path) -> tuple[float, float, float]:
    """Return how long `init`, `deploy` and the first answer took."""
    environment = {
        **os.environ,
        **aws.environment(DEFAULT_ACCOUNT),
        "PYTHONPATH": str(ROOT),
        "STAGEDOOR_CACHE_DIR": str(cache),
        "UV_CACHE_DIR": str(cache / "uv-of-init"),
    }
    _stagedoor(folder, environment, "bootstrap")
    times = [time.monotonic()]
    _stagedoor(folder, environment, "init", "--template", "python-api")
    times.append(time.monotonic())
    printed = _stagedoor(folder, environment, "deploy", "--json")
    times.append(time.monotonic())
    outputs = json.loads(printed.splitlines()[-1])["outputs"]
    url = next(value for stack in outputs.values() for value in stack.values() if value.startswith("http"))
    _get(aws, url)
    times.append(time.monotonic())
    began, written, deployed, answered = times
    return written - began, deployed - written, answered - deployed


def _stagedoor(folder: Path, environment: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stagedoor.cli", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"stagedoor {words[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _get(aws: LocalAws, url: str) -> None:
    local, host = aws.url_for(f"{url.rstrip('/')}/")
    connection = http.client.HTTPConnection(urlsplit(local).netloc, timeout=60)
    connection.request("GET", urlsplit(local).path, headers={"Host": host})
    answer = connection.getresponse()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"GET / answered {answer.status}: {answer.read()[:500]!r}")
