"""The Runtime API that deployed code sees is Lambda's own: the same questions are asked with and without a bridge."""

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from tests.stagedoor.live.bridge.conftest import HANDLERS, LAMBDA
from tests.stagedoor.live.bridge.relay import ScriptedRelay, deployed
from tests.stagedoor.live.bridge.sandbox import Sandbox

PROBE = [sys.executable, "probe.py"]


@pytest.fixture(autouse=True)
def _nobody_is_there(relay: ScriptedRelay) -> None:
    relay.live, relay.otherwise = False, deployed


def test_every_endpoint_answers_as_it_does_without_a_bridge(bridged: Callable[..., Sandbox]):
    with Sandbox(PROBE, LAMBDA, code=HANDLERS) as alone:
        wanted = alone.invoke("next twice").document
        alone.invoke("probe")
    sandbox = bridged("probe", command=PROBE)
    assert sandbox.init() == "ready"
    assert sandbox.invoke("next twice").document == wanted
    sandbox.invoke("probe")
    assert sandbox.log.splitlines()[:2] == alone.log.splitlines()[:2]
    assert [said[:2] for said in wanted[:6]] == [
        ["next", 200],
        ["other id", 400],
        ["other id's error", 400],
        ["init error too late", 403],
        ["unknown path", 404],
        ["next twice", 403],
    ]


def test_a_streamed_response_arrives_chunk_by_chunk_with_its_trailers(bridged: Callable[..., Sandbox]):
    sandbox = bridged("probe", command=PROBE)
    with overheard(sandbox) as said:
        outcome = sandbox.invoke("stream")
    assert b"\r\n0\r\nX-End: \xc3\xa9\r\n\r\n" in said
    assert outcome.payload == b'{"statusCode":200}' + b"\0" * 8 + b"one" + b"two" * 50_000
    assert outcome.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert outcome.headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    assert outcome.headers["Transfer-Encoding"] == "chunked"
    assert outcome.headers["Trailer"] == "X-End"


@contextmanager
def overheard(sandbox: Sandbox) -> Iterator[bytearray]:
    """Collect what a sandbox's process says to the Runtime API, byte for byte; our server has no ear for trailers."""
    said = bytearray()
    host, _, port = sandbox.address.partition(":")
    listener = socket.create_server((host, 0))

    def copy(source: socket.socket, target: socket.socket, heard: bytearray | None) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if heard is not None:
                    heard += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                lambda_ = socket.create_connection((host, int(port)))
                start(copy, lambda_, client, None)
                start(copy, client, lambda_, said)

    def start(what: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=what, args=arguments, daemon=True).start()

    sandbox.environment["AWS_LAMBDA_RUNTIME_API"] = f"{host}:{listener.getsockname()[1]}"
    start(serve)
    yield said
    listener.close()


def test_a_response_that_breaks_off_is_never_whole(bridged: Callable[..., Sandbox]):
    sandbox = bridged("probe", command=PROBE)
    outcome = sandbox.invoke("broken stream")
    assert (outcome.error, b"part" in outcome.payload) == ("Unhandled", False)
    assert sandbox.invoke("probe").document


def test_snapstart_initializes_the_deployed_code_and_restores_through_the_bridge(
    bridged: Callable[..., Sandbox], relay: ScriptedRelay
):
    sandbox = bridged("probe", command=PROBE, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert sandbox.init() == "ready"
    assert relay.tokens == []  # no connection outlives a snapshot
    assert sandbox.invoke("probe").document[-1] == ["restored", [200]]
    assert sandbox.requests[:2] == ["restore/next", "next"]


def test_what_lambda_says_to_the_process_reaches_the_runtime(bridged: Callable[..., Sandbox], tmp_path):
    runtime = tmp_path / "runtime.py"
    runtime.write_text(
        "import os, signal, sys, urllib.request\n"
        "def bye(*_):\n    print('bye', flush=True)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "os.write(int(os.environ['_LAMBDA_TELEMETRY_LOG_FD']), b'framed\\n')\n"
        "urllib.request.urlopen(f\"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/next\")\n"
    )
    telemetry = tmp_path / "telemetry"
    script = tmp_path / "with-descriptor"
    script.write_text(f'#!/bin/sh\nexec 5>{telemetry}\nexec "$REAL_WRAPPER" "$@"\n')
    script.chmod(0o755)
    sandbox = bridged("probe", command=[sys.executable, str(runtime)], _LAMBDA_TELEMETRY_LOG_FD="5")
    sandbox.environment["REAL_WRAPPER"] = sandbox.environment["AWS_LAMBDA_EXEC_WRAPPER"]
    sandbox.environment["AWS_LAMBDA_EXEC_WRAPPER"] = str(script)
    assert sandbox.init() == "ready"
    assert telemetry.read_text() == "framed\n"
    assert sandbox.terminate() == 0
    assert sandbox.log == "bye\n"
