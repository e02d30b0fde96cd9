"""The handlers that the benchmark calls."""
# ruff: noqa: ARG001 — Lambda calls each with both

import hashlib
import os
import time
from typing import Any


def echo(event: Any, context: Any) -> Any:
    return event


def waits(event: Any, context: Any) -> Any:
    time.sleep(event["seconds"])
    return event


def notes(event: Any, context: Any) -> Any:
    """Write down that it ran, in one write that cannot be torn, and take its time."""
    descriptor = os.open(event["runs"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{context.aws_request_id}\n".encode())
    os.close(descriptor)
    time.sleep(event["seconds"])
    return context.aws_request_id


def large(event: Any, context: Any) -> Any:
    """Say what arrived, byte for byte, and send it back."""
    text = event["text"]
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}


def whose(event: Any, context: Any) -> Any:
    return os.environ["DEVELOPER"]
