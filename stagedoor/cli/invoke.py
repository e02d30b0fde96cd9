"""`stagedoor invoke`: call a function of a stage."""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from stagedoor.cli.deployed_functions import deployed_functions, the_one
from stagedoor.cli.deployed_stage import look_at
from stagedoor.cli.invocations import problem_lines
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.words import plain
from stagedoor.cli.work import at_work
from stagedoor.deploy.access import judges_request
from stagedoor.errors import UserError

_LONGEST_SECONDS = 910.0
"""A function runs for at most 15 minutes (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""


class InvalidEvent(UserError):
    """What a function is to be called with is no JSON, or is not there."""

    id = "invalid-event"


class InvokeRefused(UserError):
    """Lambda did not call the function."""

    id = "invoke-refused"


class FunctionFailed(UserError):
    """The function was called, and ended with an error of its own."""

    id = "function-failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What Lambda answered: the function's own JSON, the end of its log, and whether the JSON tells of an error."""

    result: Any
    log: str
    failed: bool
    status: int
    request_id: str


@click.command(epilog=EXIT_CODES)
@click.argument("function")
@STAGE
@click.option("--event", "given", default="{}", metavar="FILE|-|JSON", help="What it is called with. [default: {}]")
@click.option("--async", "later", is_flag=True, help="Have it called soon, and do not wait for what it returns.")
@click.option("--log/--no-log", "log", default=True, help="Show the end of its log. [default: shown]")
@with_options
def invoke(function: str, stage: str | None, given: str, later: bool, log: bool, options: Options) -> None:
    """Call a function of a stage, and print what it returns.

    FUNCTION is its construct's path or the last part of that, its logical id, or a pattern of these. The result goes
    to stdout, its log to stderr. A function that fails is exit code 1.

    \b
    Example:
      stagedoor invoke Greet --stage dev --event '{"name": "Ann"}' | jq .
      cat event.json | stagedoor invoke Greet --event -
    """
    with at_work(options) as work, work.interruption.anywhere():
        event = read_event(given)
        app = work.app()
        wanted = stage_named(stage, app)
        looking = look_at(work, app, wanted)
        one = the_one(deployed_functions(looking), function)
        answer = _call(work.patient_client("lambda", looking.target, _LONGEST_SECONDS), one.name, event, later=later)
        if log and answer.log and not options.as_json:
            write(sys.stderr, plain(answer.log))
        if answer.failed:
            raise _failure(one.path, answer)
        if not options.as_json:
            write(sys.stdout, "" if later else json.dumps(answer.result, indent=2, ensure_ascii=False) + "\n")
        data = {"app": app.name, "stage": wanted, "function": one.path, "name": one.name, "result": answer.result}
        data |= {"status": answer.status, "request_id": answer.request_id, "log": answer.log}
        did = "will be called" if later else "was called"
        work.screen.end(Ending(f"{one.path} {did} (request {answer.request_id}).", data=data))


def read_event(given: str) -> bytes:
    """Return the JSON that a function is called with: from stdin, a file, or as it was written. Raises `InvalidEvent`.

    What begins as an object or a list does is no file's name.
    """
    text = given
    if given == "-":
        text = sys.stdin.read()
    elif given[:1] not in tuple('{["') and (file := Path(given)).is_file():
        text = file.read_text(encoding="utf-8")
    try:
        json.loads(text)
    except ValueError as problem:
        remedy = 'Give --event a file, - for stdin, or JSON such as \'{"name": "Ann"}\'.'
        raise InvalidEvent(f"{given[:80]!r} is neither a file nor JSON: {problem}.", remedy) from None
    return text.encode()


def _call(client: Any, name: str, event: bytes, *, later: bool) -> Answer:
    how: Mapping[str, str] = {"InvocationType": "Event"} if later else {"LogType": "Tail"}
    try:
        said = client.invoke(FunctionName=name, Payload=event, **how)
        body = said["Payload"].read()
    except ClientError as error:
        if not judges_request(error):
            raise
        message = error.response["Error"].get("Message", "")
        raise InvokeRefused(
            f"Lambda did not call {name}: {message}", "See its state with `stagedoor console`."
        ) from None
    log = base64.b64decode(said.get("LogResult", "")).decode(errors="replace")
    request_id = said["ResponseMetadata"].get("RequestId", "")
    return Answer(_read(body), log, "FunctionError" in said, said["StatusCode"], request_id)


def _read(body: bytes) -> Any:
    """Return what a function returned; one that streams may return what is no JSON."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _failure(path: str, answer: Answer) -> FunctionFailed:
    error = answer.result if isinstance(answer.result, dict) else {"errorMessage": str(answer.result)}
    said = f"{error.get('errorType') or 'Error'}: {error.get('errorMessage', '')}"
    detail = "\n".join(problem_lines(error, []))
    return FunctionFailed(
        f"{path} failed: {said}", "Its traceback is below; `stagedoor logs` has the rest.", detail=detail
    )
