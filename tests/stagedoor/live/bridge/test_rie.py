"""The bridge under AWS's own Runtime Interface Emulator: `make live-rie`, where there is Go.

What it answers without a bridge is what it has to answer with one.
"""

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

from tests.stagedoor.live.bridge.conftest import HANDLERS, LAMBDA
from tests.stagedoor.live.bridge.relay import ScriptedRelay, deployed, echo
from tests.stagedoor.live.bridge.sandbox import BOOTSTRAP
from tests.stagedoor.live.bridge.test_same_outcome import plain

RIE = os.environ["AWS_LAMBDA_RIE"]

EVENTS: list[dict[str, Any]] = [
    {"do": "echo", "text": "é \u2028 \x00 \U0001f6aa"},
    {"do": "raises"},
    {"do": "deep", "length": 300_000},
    {"do": "unserializable"},
    {"do": "large", "bytes": 5_900_000},
    {"do": "large", "bytes": 6_500_000},
    {"do": "crashes", "status": 3},
    {"do": "echo", "after": "all of that"},
]


def invoked(python: Path, folder: Path, events: list[dict[str, Any]], **environment: str) -> list[str]:
    """Return what the emulator answers to each event."""
    bootstrap = folder / "bootstrap"
    bootstrap.write_text(f"#!/bin/sh\nset -- {python} -m awslambdaric app.any_of\n{BOOTSTRAP}")
    bootstrap.chmod(0o755)
    addresses = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as free:
            addresses.append(f"127.0.0.1:{free.getsockname()[1]}")
    process = subprocess.Popen(
        [
            RIE,
            "--runtime-interface-emulator-address",
            addresses[0],
            "--runtime-api-address",
            addresses[1],
            str(bootstrap),
        ],
        env={"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_TIMEOUT": "30", **LAMBDA, **environment},
        cwd=HANDLERS,
    )
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(addresses[0].rpartition(":")[2]))) == 0:
                    break
            time.sleep(0.05)
        url = f"http://{addresses[0]}/2015-03-31/functions/function/invocations"
        answers = [requests.post(url, json=event, timeout=60) for event in events]
        return [plain(f"{_status(answer)}{answer.text}") for answer in answers]
    finally:
        process.kill()
        process.wait()


def _status(answer: requests.Response) -> str:
    """Return the status, but of an answer that is too large: the emulator says 502 there since the runtime's process
    ends by it, which with a bridge is a child that is started anew. Lambda itself says 200 to both.
    """
    return "" if "Function.ResponseSizeTooLarge" in answer.text else f"{answer.status_code} "


def test_awss_emulator_answers_the_same_with_a_bridge_and_developers_answer_behind_it(
    wrapper: str, relay: ScriptedRelay, awslambdaric: Path, tmp_path: Path
):
    live = {
        "AWS_LAMBDA_EXEC_WRAPPER": wrapper,
        "STAGEDOOR_LIVE_SERVER": relay.url,
        "STAGEDOOR_LIVE_STAGE": "7",
        "STAGEDOOR_LIVE_TIMEOUT": "10",
    }
    relay.live, relay.otherwise = False, deployed
    assert invoked(awslambdaric, tmp_path, EVENTS, **live) == invoked(awslambdaric, tmp_path, EVENTS)
    relay.live, relay.otherwise = True, echo
    large = {"text": "é" * 900_000}
    answers = invoked(awslambdaric, tmp_path, [{"live": 1}, large], **live)
    assert [json.loads(answer.partition(" ")[2]) for answer in answers] == [{"live": 1}, large]
