"""Handlers that are run with and without a bridge."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

logging.getLogger().setLevel(logging.INFO)


def any_of(event, context):
    """Do what the event says, with the other handlers of this file."""
    return globals()[event["do"]](event, context)


def echo(event, context):
    return event


def context(event, context):
    left = context.get_remaining_time_in_millis()
    client = context.client_context
    return {
        "id": bool(context.aws_request_id),
        "name": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "identity": context.identity.cognito_identity_id,
        "client": client and client.custom,
        "tenant": context.tenant_id,
        "left": 1500 < left <= 2000,
        "trace": os.environ["_X_AMZN_TRACE_ID"],
        "environment": {
            name: value
            for name, value in os.environ.items()
            if name not in {"AWS_LAMBDA_RUNTIME_API", "_X_AMZN_TRACE_ID", "PWD", "OLDPWD", "_", "SHLVL"}
        },
        "argv": sys.argv[1:],
        "cwd": Path.cwd().name,
    }


def raises(event, context):
    class OutOfNotes(Exception):
        pass

    raise OutOfNotes("é and \u2028 and none left")


def deep(event, context):
    """An error whose X-Ray cause is longer than a line of a head usually may be."""

    def down(depth):
        if depth == 0:
            raise ValueError("deep" + "x" * event["length"])
        down(depth - 1)

    down(200)


def unserializable(event, context):
    return {"set": {1}}


def logs(event, context):
    logging.info("an info")
    logging.error("an error")
    print("a print")
    print("no newline", end="")
    sys.stderr.write("on stderr\n")


def sleeps(event, context):
    time.sleep(event["seconds"])
    return event


def exits(event, context):
    sys.exit(event["status"])


def crashes(event, context):
    os._exit(event["status"])


def killed(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def large(event, context):
    return "x" * event["bytes"]


def extension(event, context):
    """What an extension inside the runtime's process does (Telemetry of observability tools, for one)."""
    import http.client

    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {"Lambda-Extension-Name": "inside"}
    api.request("POST", "/2020-01-01/extension/register", json.dumps({"events": []}), headers)
    answer = api.getresponse()
    return {
        "status": answer.status,
        "id": bool(answer.headers["Lambda-Extension-Identifier"]),
        "function": json.loads(answer.read())["functionName"],
    }
