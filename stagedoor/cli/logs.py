"""`stagedoor logs`: what the functions of a stage printed."""

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import ClientError

from stagedoor.cli.deployed_functions import DeployedFunction, deployed_functions, matching, short_names
from stagedoor.cli.deployed_stage import look_at
from stagedoor.cli.log_tail import LogEvent, LogTail
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.words import plain
from stagedoor.cli.work import at_work
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.stacks import error_code
from stagedoor.errors import Cancelled

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SINCE = re.compile(r"(\d+)([smhd])")
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "bright_cyan", "bright_magenta", "bright_yellow")
_FRAME = ("START RequestId:", "END RequestId:", "INIT_START ")
_LOOKS_PER_SECOND = 4
"""FilterLogEvents allows five a second in an account's small regions
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html)."""


class _Since(click.ParamType[int]):
    """`10m` and the like, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        match = _SINCE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no duration; write 30s, 10m, 2h or 1d.", param, ctx)
        return int(match[1]) * _UNITS[match[2]]


@click.command(epilog=EXIT_CODES)
@STAGE
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--function", "pattern", default="*", metavar="PATTERN", help="By construct path, its last part, or id.")
@click.option("--filter", "text", default="", metavar="TEXT", help="Only what holds this text.")
@click.option("--since", type=_Since(), default="10m", show_default=True, metavar="10m", help="How far back to begin.")
@with_options
def logs(stage: str | None, follow: bool, pattern: str, text: str, since: int, options: Options) -> None:
    """Show what the functions of a stage printed, all of them in the order of time.

    Lambda's own lines that frame an invocation are left out but with --verbose.

    \b
    Example:
      stagedoor logs -f --stage dev --function 'Api*' --filter ERROR
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            wanted = stage_named(stage, app)
            looking = look_at(work, app, wanted)
            every = deployed_functions(looking)
            functions = matching(every, pattern) if every or pattern != "*" else []
            reader = _Reader(looking.clients, functions, int((time.time() - since) * 1000), text)
            printer = _Printer(short_names(functions), options)
            number = _show(reader, printer, follow=follow)
        work.screen.end(
            Ending(f"{number or 'No'} lines of {len(functions)} functions.", data={"app": app.name, "stage": wanted})
            if number or follow
            else Ending("Nothing was printed in that time.", ("Go further back with --since, such as --since 1d.",))
        )


def _show(reader: "_Reader", printer: "_Printer", *, follow: bool) -> int:
    """Print what there is, and, to follow, what comes, until Ctrl-C. Return the number of events."""
    number = 0
    try:
        while True:
            for event in reader.read():
                number += printer.show(event)
            if not follow:
                return number
            time.sleep(reader.pause)
    except Cancelled:
        if not follow:
            raise
        return number


class _Reader:
    """The logs of several functions, each in a group of its own or in one that they share."""

    def __init__(self, clients: Clients, functions: Sequence[DeployedFunction], since: int, text: str) -> None:
        self._client = clients.client("logs", Phase.DEPLOY)
        self._text = text
        with ThreadPoolExecutor(8, thread_name_prefix="logs") as readers:
            groups = list(readers.map(lambda one: _log_group(clients, one), functions))
        self._names: dict[str, list[str]] = {}
        for function, group in zip(functions, groups, strict=True):
            self._names.setdefault(group, []).append(function.name)
        self._tails = [LogTail(self._client, group, since) for group in self._names]

    @property
    def pause(self) -> float:
        """Seconds between two looks at all groups."""
        return max(1.0, len(self._tails) / _LOOKS_PER_SECOND)

    def read(self) -> list[tuple[str, LogEvent]]:
        """Return what is new, each with the name of the function: of the first, where several share a group."""
        found = [event for tail in self._tails for event in tail.read() if self._text in event.message]
        return [(self._names[event.group][0], event) for event in sorted(found, key=lambda one: one.at)]


class _Printer:
    """Writes events to stdout: for people, a line each with the time of day here and the function; else as JSON."""

    def __init__(self, names: Mapping[str, str], options: Options) -> None:
        self._names = names
        self._options = options
        self._width = min(30, max(map(len, names.values()), default=0))
        self._colours = {name: _COLOURS[index % len(_COLOURS)] for index, name in enumerate(names)}

    def show(self, one: tuple[str, LogEvent]) -> int:
        """Write it; return 0 where it is left out."""
        name, event = one
        moment = datetime.fromtimestamp(event.at / 1000, UTC)
        short = self._names.get(name, name)
        if self._options.as_json:
            said = {"event": "log", "function": short, "name": name, "at": moment.isoformat(), "id": event.id}
            write(sys.stdout, json.dumps({**said, "message": event.message}) + "\n")
            return 1
        if event.message.startswith(_FRAME) and not self._options.verbose:
            return 0
        clock = moment.astimezone().strftime("%H:%M:%S.%f")[:12]
        head = f"{clock}  {short:{self._width}}  "
        if sys.stdout.isatty():
            head = f"{clock}  {click.style(f'{short:{self._width}}', fg=self._colours.get(name))}  "
        for line in plain(event.message.rstrip("\n")).splitlines():
            write(sys.stdout, f"{head}{line}\n")
        return 1


def _log_group(clients: Clients, function: DeployedFunction) -> str:
    """Return where a function's logs go: to a group that it was given, else to the one that Lambda makes for it."""
    usual = f"/aws/lambda/{function.name}"
    try:
        said = clients.client("lambda", Phase.DEPLOY).get_function_configuration(FunctionName=function.name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFound":  # deleted by hand: its logs may be there still
            raise
        return usual
    return said.get("LoggingConfig", {}).get("LogGroup") or usual
