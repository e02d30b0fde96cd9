"""What a handler can do. Each is called by its name: `{"do": name, …}`."""

import decimal
import json
import logging
import os
import signal
import sys
import time

LOG = logging.getLogger("notes")
print("loading")


class NoteMissing(Exception):
    pass


def handler(event, context):
    return globals()[event["do"]](event, context)


def echo(event, context):
    return event


def fields(event, context):
    left = context.get_remaining_time_in_millis()
    return {
        "fields": {name: repr(value) for name, value in sorted(vars(context).items()) if "deadline" not in name},
        "left": 0 < left <= 60_000 and isinstance(left, int),
        "deadline": type(context._epoch_deadline_time_in_ms).__name__,
        "client": repr(context.client_context),
        "identity": repr(context.identity),
        "w3c": context.w3c(),
    }


def surroundings(event, context):
    names = [
        "_HANDLER",
        "LAMBDA_TASK_ROOT",
        "AWS_REGION",
        "NOTES_TABLE",
        "_X_AMZN_TRACE_ID",
        "TZ",
        "AWS_LAMBDA_FUNCTION_NAME",
    ]
    return {
        "environment": {name: os.environ.get(name) for name in names},
        "folder": os.getcwd(),
        "first": sys.path[0],
        "argv": sys.argv[1:],
        "module": __name__,
        "time": time.tzname,
    }


def raises(event, context):
    try:
        json.loads("{")
    except ValueError as error:
        raise NoteMissing("no note\nof that name: é \u2028 \0 😀") from error


def raises_nothing_said(event, context):
    raise KeyError


def raises_much(event, context):
    raise ValueError("x" * 20_000)


def logs(event, context):
    print("a line")
    print("two\nlines")
    LOG.warning("careful: %s", "é")
    logging.getLogger().error("bad", extra={"note": 1})
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        LOG.exception("divided")
    sys.stderr.write("to the other stream\n")
    context.log("from the context\n")


def prints_no_end(event, context):
    print("no end of line", end="")


def returns(event, context):
    class Unknown:
        pass

    values = {
        "nan": float("nan"), "infinity": float("-inf"), "decimal": decimal.Decimal("1.10"), "none": None,
        "decimal nan": decimal.Decimal("nan"), "unicode": "é \u2028 \0 😀", "surrogate": "\ud800", "set": {1},
        "key": {1: 2}, "tuple": (1, (2,)), "odd key": {(1,): 2}, "bytes": b"\xff\0raw", "inner bytes": {"a": b"x"},
        "unknown": Unknown(), "text": "a", "false": False, "big number": 2**70, "float": 0.1 + 0.2,
    }  # fmt: skip
    return values[event["what"]]


def large(event, context):
    return "x" * (event["size"] - 2)


async def is_async(event, context):
    return 1


def exits(event, context):
    print("leaving")
    sys.exit(event["status"])


def exits_at_once(event, context):
    os._exit(event["status"])


def dies(event, context):
    os.kill(os.getpid(), signal.Signals[event["signal"]])
    time.sleep(5)


def too_slow(event, context):
    time.sleep(30)
