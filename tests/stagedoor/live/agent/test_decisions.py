"""The agent's pure parts: custody, bodies with credit, output, a worker's environment, Lambda's words."""

import random
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagedoor.live.bodies import Arriving, Outbox
from stagedoor.live.custody import KEPT_SECONDS, KNOWN_SECONDS, Custody, Offer
from stagedoor.live.frames import CHUNK, WINDOW, FrameInvalid, FrameType
from stagedoor.live.functions import LiveFunction, Outcome, Sandbox
from stagedoor.live.lambda_errors import how_it_ended
from stagedoor.live.workers.environment import sort_of, worker_environment
from stagedoor.live.workers.output import Output, Printed

DONE = Outcome("response", b"1", {})
STEPS = st.tuples(
    st.sampled_from(["take", "done", "received", "given up", "forget"]), st.sampled_from("abc"), st.floats(0, 2000)
)


@given(st.lists(STEPS, max_size=40))
def test_an_attempt_is_taken_once_however_often_it_is_offered(steps) -> None:
    custody, now, taken = Custody(), 0.0, []
    for step, attempt, later in steps:
        now += later if step == "forget" and later < KNOWN_SECONDS else 0
        if step == "take" and custody.take(attempt):
            taken.append(attempt)
        elif step == "done":
            custody.done(attempt, DONE, now)
        elif step == "received":
            custody.received(attempt, now)
        elif step == "given up" and custody.outcome(attempt) is None:
            custody.given_up(attempt, now)
        elif step == "forget" and now < KNOWN_SECONDS:
            custody.forget(now)
    assert len(taken) == len(set(taken))
    assert all(custody.offered(attempt) is not Offer.NEW for attempt in taken)


def test_a_result_is_kept_and_its_id_for_longer() -> None:
    custody = Custody()
    custody.take("a")
    assert (custody.offered("a"), custody.known()) == (Offer.RUNNING, {"a": "running"})
    custody.done("a", DONE, 0)
    custody.done("a", Outcome("error", b"2", {}), 0)
    assert (custody.outcome("a"), custody.known()) == (DONE, {"a": "done"})
    custody.forget(KNOWN_SECONDS - 1)
    assert custody.offered("a") is Offer.DONE  # the relay does not have it yet
    custody.received("a", 100)
    custody.forget(100 + KEPT_SECONDS - 1)
    assert custody.offered("a") is Offer.DONE
    custody.forget(100 + KEPT_SECONDS)
    assert (custody.offered("a"), custody.known()) == (Offer.FORGOTTEN, {})
    custody.forget(100 + KEPT_SECONDS + KNOWN_SECONDS)
    assert custody.offered("a") is Offer.NEW


@settings(max_examples=8)
@given(st.lists(st.integers(0, 2 * WINDOW), min_size=1, max_size=3))
def test_bodies_arrive_whole_in_turns_and_never_beyond_their_credit(sizes: list[int]) -> None:
    outbox = Outbox()
    bodies = {stream: random.Random(size).randbytes(size) for stream, size in enumerate(sizes, 1)}
    arriving: dict[int, Arriving] = {}
    sent, granted = dict.fromkeys(bodies, 0), dict.fromkeys(bodies, WINDOW)
    for stream, body in bodies.items():
        outbox.send(FrameType.RESULT, stream, {"size": len(body)}, body)
    while frame := outbox.next():
        if frame.type is FrameType.RESULT:
            head, piece = frame.head()
            arriving[frame.stream] = Arriving(head["size"])
        else:
            piece = frame.payload
        assert len(piece) <= CHUNK
        sent[frame.stream] += len(piece)
        assert sent[frame.stream] <= granted[frame.stream]
        more = arriving[frame.stream].add(piece)
        granted[frame.stream] += more
        outbox.grant(frame.stream, more)
    assert {stream: bytes(body.received) for stream, body in arriving.items()} == bodies
    assert all(body.whole for body in arriving.values())


def test_a_sender_that_breaks_the_rules_is_not_believed() -> None:
    for size in (-1, 100 * 1024 * 1024):
        with pytest.raises(FrameInvalid):
            Arriving(size)
    with pytest.raises(FrameInvalid):
        Arriving(1).add(b"12")


def frame(kind: int, text: bytes) -> bytes:
    return b"\xa5\x5a\x00" + bytes([kind]) + len(text).to_bytes(4, "big") + bytes(8) + text


@given(st.lists(st.integers(1, 200), max_size=20))
def test_lines_and_entries_keep_their_order_however_the_pipe_is_read(cuts: list[int]) -> None:
    entry = b"[ERROR] two\nlines \xe2\x82\xac\n"
    whole = (
        b"one\ntwo \xc3\xa9\nhalf" + frame(0x17, entry) + frame(0x0E, b"") + b"\nlast\xff" + frame(3, b"x\n") + b"end"
    )
    output, printed, place = Output(), [], 0
    for cut in [*cuts, len(whole)]:
        printed += output.add(whole[place : place + cut])
        place += cut
    printed += output.flush()
    expected = [("one", None), ("two é", None), ("half", None), ("[ERROR] two\nlines €", "ERROR"), ("", "INFO")]
    expected += [("", None), ("last\ufffd", None), ("x", None), ("end", None)]
    assert printed == [Printed(*line) for line in expected]


def test_a_workers_environment_is_the_functions_on_this_machine() -> None:
    theirs = {
        "NOTES_TABLE": "notes", "PATH": "/var/lang/bin", "AWS_ACCESS_KEY_ID": "A", "AWS_SESSION_TOKEN": "T",
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/stagedoor/bridge", "STAGEDOOR_LIVE_SERVER": "https://x", "TZ": ":UTC",
        "PYTHONPATH": "/var/runtime:/var/task/vendored:/opt/python", "AWS_LAMBDA_LOG_STREAM_NAME": "one",
        "_HANDLER": "x", "AWS_REGION": "eu-west-1",
    }  # fmt: skip
    mine = {"PATH": "/usr/bin", "HOME": "/home/ada", "AWS_PROFILE": "mine", "LC_ALL": "C.UTF-8", "SECRET": "s"}
    function = LiveFunction(
        "f", "app.handler", "python3.12", Path("/app"), Path("/p"), (Path("/layer"),), {"DEBUG": "1"}
    )
    made = worker_environment(function, Sandbox("1", "f", theirs), mine, ("http://127.0.0.1:1/credentials", "token"))
    assert made == {
        "PATH": "/usr/bin", "HOME": "/home/ada", "LC_ALL": "C.UTF-8", "NOTES_TABLE": "notes", "TZ": ":UTC",
        "AWS_REGION": "eu-west-1", "AWS_LAMBDA_LOG_STREAM_NAME": "one", "_HANDLER": "app.handler", "DEBUG": "1",
        "LAMBDA_TASK_ROOT": "/app", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12", "PYTHONPATH": "/app/vendored:/layer/python",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_CONFIG_FILE": "/dev/null", "BOTO_CONFIG": "/dev/null",
    }  # fmt: skip
    another = Sandbox("2", "f", theirs | {"AWS_LAMBDA_LOG_STREAM_NAME": "two", "AWS_ACCESS_KEY_ID": "B"})
    assert sort_of(another) == sort_of(Sandbox("1", "f", theirs))
    assert sort_of(Sandbox("3", "f", theirs | {"NOTES_TABLE": "others"})) != sort_of(another)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "Runtime exited without providing a reason"),
        (7, "Runtime exited with error: exit status 7"),
        (-signal.SIGSEGV, "Runtime exited with error: signal: segmentation fault"),
        (-signal.SIGKILL, "Runtime exited with error: signal: killed"),
        (-signal.SIGUSR1, "Runtime exited with error: signal: user defined signal 1"),
    ],
)
def test_the_end_of_a_process_in_lambdas_words(status: int, words: str) -> None:
    assert how_it_ended(status) == words
