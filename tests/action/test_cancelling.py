"""A cancellation is heard at whatever moment it comes, and once."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.action.job import ROOT

STEP = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from action import steps
from action.refusal import Refused

class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

def step(environ, runner):
    {body}
    time.sleep(20)

steps._ask = step
sys.exit(steps.main(["ask"]))
"""


def ended(body: str) -> "subprocess.CompletedProcess[str]":
    """Run a step of which the body is given, which is cancelled in there; return how it ended."""
    code = STEP.format(root=str(ROOT), body=body)
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=15, check=False)


@pytest.mark.parametrize(
    "body",
    [
        "Deleted()",  # Python drops what is raised while it deletes an object
        """
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except Exception:
        pass
        """,  # as libraries do
        "os.kill(os.getpid(), signal.SIGTERM)",
    ],
)
def test_it_is_heard(body: str):
    began = time.monotonic()
    done = ended(body)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.strip() == "Cancelled."
    assert time.monotonic() - began < 5


def test_a_second_signal_breaks_nothing_off():
    done = ended("""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print("whole", flush=True)
    """)
    assert (done.returncode, done.stdout.split(), done.stderr) == (130, ["whole", "Cancelled."], "")


def test_what_comes_while_an_error_is_told_leaves_no_traceback():
    body = "runner.summary = lambda text: os.kill(os.getpid(), signal.SIGINT); raise Refused('x', 'No.', 'Yes.')"
    done = ended(body)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.endswith("Cancelled.\n")


def test_a_burst_of_signals_says_nothing_odd(job):
    here = job()
    (here.workspace / "cdk.json").write_text('{"app": "sleep 20"}')
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-I", str(ROOT / "action"), "synth"],
            env={**here.environment(), "INPUT_SYNTH": "runner"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert b"::group::" in process.stdout.readline()
        for number in (signal.SIGINT, signal.SIGTERM) * 20:
            os.kill(process.pid, number)
        said, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (130, b"")
        assert said.endswith(b"Cancelled.\n")
