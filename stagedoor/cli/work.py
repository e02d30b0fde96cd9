"""The frame in which each command does its work: what it shows, how it is interrupted, and how it ends."""

import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from stagedoor import __version__
from stagedoor.cli.account import find_target, qualifier_of, use_profile
from stagedoor.cli.app_folder import AppFolder, find_app
from stagedoor.cli.failure import failure_of
from stagedoor.cli.interruption import Interruption
from stagedoor.cli.json_screen import JsonScreen
from stagedoor.cli.line_screen import LineScreen
from stagedoor.cli.options import Options
from stagedoor.cli.progress import words_for
from stagedoor.cli.screen import Screen
from stagedoor.deploy.clients import Clients, new_session
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import Cancelled
from stagedoor.events import Event, EventKind
from stagedoor.target import Target, Trust


@dataclass(slots=True)
class Work:
    """One command at work: where it shows what it does, how it is interrupted, and its run's id.

    `busy_stacks` asks CloudFormation which stacks of the stage it is working on; None before the account is changed.
    `going_on` says what an interruption leaves behind, where that is not for CloudFormation to say.
    """

    options: Options
    screen: Screen
    interruption: Interruption
    run: str = field(default_factory=lambda: f"{int(time.time())}-{secrets.token_hex(4)}")
    busy_stacks: Callable[[], Iterable[ActualStack]] | None = None
    going_on: str = ""
    _session: Session | None = None

    def emit(self, event: Event) -> None:
        """Show an event; raises `Cancelled` when the work is to stop."""
        self.screen.show(event)
        self.interruption.check()

    def app(self) -> AppFolder:
        """Return the app that the command is about."""
        return find_app(Path.cwd(), self.options.app)

    def target(self, app_dir: Path, root: Path, trust: Trust) -> Target:
        """Return the caller's own account as the target; `app_dir` is where `cdk.json` may ask for a qualifier."""
        use_profile(self.options.profile)
        self._session = new_session()
        qualifier = self.options.qualifier or qualifier_of(app_dir, root)
        return find_target(self._session, self.options.region, qualifier, trust)

    def clients(self, target: Target) -> Clients:
        """Return the ways into the account that `target` found, which notice an interruption while they wait."""
        clients = Clients(target, user_agent=f"stagedoor-cli/{__version__}", own=self._session)
        self.interruption.check_while_waiting(clients)
        return clients

    def patient_client(self, service: str, target: Target, seconds: float) -> Any:
        """Return a client of AWS's SDK that waits so long for an answer, and sends nothing twice."""
        session = self._session or new_session()
        config = Config(connect_timeout=5, read_timeout=seconds, retries={"total_max_attempts": 1})
        return session.create_client(service, target.region, config=config)

    def ledger(self) -> MemoryLedger:
        """Return a ledger whose tokens are this run's own."""
        return MemoryLedger(self.run)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Show that a phase begins, and how it ends."""
        self.emit(Event(EventKind.PHASE, name, "started"))
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.screen.show(Event(EventKind.PHASE, name, "failed", seconds=time.monotonic() - began))
            raise
        self.emit(Event(EventKind.PHASE, name, "done", seconds=time.monotonic() - began))


@contextmanager
def at_work(options: Options) -> Iterator[Work]:
    """Frame a command's work: whatever it raises is told and becomes the exit code."""
    screen = choose_screen(options)
    work = Work(options, screen, Interruption(screen.stopping))
    try:
        with work.interruption:
            yield work
    except (click.ClickException, click.Abort):
        raise
    except BaseException as error:
        failure = failure_of(error, going_on=_going_on(error, work))
        screen.fail(failure)
        sys.exit(failure.code)


def choose_screen(options: Options) -> Screen:
    """Return the screen for where the output goes."""
    if options.as_json:
        return JsonScreen()
    if sys.stderr.isatty():
        # Only here, as rich takes a twentieth of a second to load.
        from rich.console import Console

        from stagedoor.cli.live_screen import LiveScreen

        console = Console(stderr=True, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            return LiveScreen(console, verbose=options.verbose)
    return LineScreen(verbose=options.verbose)


def _going_on(error: BaseException, work: Work) -> str:
    """Say what an interrupted command leaves going on; CloudFormation itself is asked, unless there is no time."""
    if work.going_on:
        return work.going_on
    if not isinstance(error, Cancelled):
        return "What CloudFormation had begun, it goes on with; the next deploy or remove joins it."
    if work.busy_stacks is None:
        return "Nothing was changed."
    try:
        busy = [f"{stack.name} ({words_for(stack.status)})" for stack in work.busy_stacks()]
    except (BotoCoreError, ClientError) as problem:
        return f"CloudFormation could not be asked what it goes on with: {problem}"
    if not busy:
        return "CloudFormation is not working on anything of this stage; the next deploy or remove goes on from here."
    return f"CloudFormation goes on with {', '.join(busy)}. The next deploy or remove joins it."
