"""Commands that have the service do something with a stage: what they are told, whom they ask, and how they follow."""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from stagedoor.cli.login import SERVER
from stagedoor.cli.options import Options
from stagedoor.cli.screen import Ending
from stagedoor.cli.service import Logins, Service, find_server
from stagedoor.cli.service_address import config_of, repository_address
from stagedoor.cli.service_events import event_of, followed
from stagedoor.cli.work import Work, at_work
from stagedoor.errors import Location, UserError

FOLLOW = click.option("-f", "--follow", is_flag=True, help="Show the run as it goes on, and end as it ends.")
GOOD = frozenset({"succeeded", "unchanged"})


class RunFailed(UserError):
    """A run at the service did not end well, for a reason that has no words of its own."""

    id = "run-failed"


class NoSuchRun(UserError):
    """The stage has no run that a command could be about."""

    id = "no-such-run"


@dataclass(frozen=True, slots=True)
class Asking:
    """One command that asks the service, as whoever is logged in, about the app in this folder."""

    work: Work
    service: Service
    app: str
    repository: str

    def stage(self, name: str) -> dict[str, Any]:
        """Return a stage of the app. Raises `ServiceRefused`, also where there is none."""
        return self.service.stage(self.repository, self.app, name)

    def runs(self, stage: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest runs of the app's stages, or of one, newest first."""
        place = {"repository": self.repository, "app": self.app} | ({"stage": stage} if stage else {})
        found: list[dict[str, Any]] = self.service.get("/runs", **place, limit=str(limit))["runs"]
        return found

    def newest_run(self, stage: str, fits: Callable[[Mapping[str, Any]], bool], what: str) -> dict[str, Any]:
        """Return the newest run of a stage that fits. Raises `NoSuchRun`, which says `what` was looked for."""
        for run in self.runs(stage, 200):
            if fits(run):
                return run
        raise NoSuchRun(f"The stage {stage} has no run that {what}.", f"`stagedoor runs --stage {stage}` lists them.")

    def told(self, sentence: str, data: Mapping[str, Any]) -> None:
        """Close with what the service said."""
        self.work.screen.end(Ending(sentence, data={"app": self.app, **data}))

    def requested(self, path: str, body: Mapping[str, Any] | None, what: str, *, follow: bool) -> None:
        """Ask for something to be done with a stage, and where that is wanted follow it to its end."""
        said = self.service.post(path, body)
        if follow:
            stream = f"/stages/{said['stage']}/stream?generation={said['generation']}"
            self.follow(stream, f"{self.app} · {what} · {self.service.url}", said)
        elif said["new"]:
            self.told(f"Asked for: {what}.", said)
        else:
            self.told(f"It is what is wanted already: {what}.", said)

    def follow(self, path: str, heading: str, data: Mapping[str, Any], *, good: str = "") -> None:
        """Show what a stream says, and end as it ends; `good` is one more outcome that is no failure.

        Raises the error of a run that failed, and `RunFailed`.
        """
        end = self.watched(path, heading)
        if end["outcome"] not in GOOD and end["outcome"] != good:
            told = f"The run {end['run']} ended: {end['outcome']}." if end["run"] else "The service did not do it."
            raise failure_at_end(end, told, "`stagedoor runs` shows what there was.")
        told_of = {name: end[name] for name in ("run", "outcome", "status", "url", "changed")}
        ended = f"The run {end['run']} ended: {end['outcome']}."
        self.work.screen.end(Ending(ended, outputs=end["outputs"], data={"app": self.app, **data, **told_of}))

    def watched(self, path: str, heading: str) -> Mapping[str, Any]:
        """Show what a stream says, and return what its end does."""
        screen = self.work.screen
        screen.heading(heading)
        self.work.going_on = "What was asked for goes on at the service."
        end: Mapping[str, Any] = {}
        with screen, self.work.interruption.anywhere():
            for message in followed(self.service, path):
                if message.kind == "run":
                    command = f"stagedoor cancel {message.data['id']}"
                    self.work.going_on = f"The run goes on at the service; `{command}` ends it."
                elif message.kind == "end":
                    end = message.data
                elif event := event_of(message):
                    screen.show(event)
        return end


def run_of(
    asking: Asking, run: int | None, stage: str | None, fits: Callable[[Mapping[str, Any]], bool], what: str
) -> int:
    """Return the run that was named, else the newest of a stage that fits. Raises `NoSuchRun`."""
    if run is not None:
        return run
    if stage is None:
        raise click.UsageError("Name a run, or a stage with --stage.")
    return int(asking.newest_run(stage, fits, what)["id"])


def with_service(command: Callable[..., int | None]) -> Callable[..., None]:
    """Give a command the options that say which app, at which service; it is run with an `Asking`. One that returns a
    number exits with it.
    """

    @SERVER
    @click.option("--app", metavar="APP", help="The app: its name in stagedoor.toml, or its folder. [default: here]")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout, the result as the last one.")
    @click.option("-v", "--verbose", is_flag=True, help="Show what the app's own program prints.")
    @functools.wraps(command)
    def asked(server: str | None, app: str | None, as_json: bool, verbose: bool, **given: Any) -> None:
        with _asking(server, Options(app, None, None, None, as_json, verbose)) as asking:
            code = command(asking=asking, **given)
        if code:
            sys.exit(code)

    return asked


@contextmanager
def _asking(server: str | None, options: Options) -> Iterator[Asking]:
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            logins = Logins.of_user()
            service = Service.logged_in(find_server(server, config_of(app).live.server, logins), logins)
        yield Asking(work, service, app.name, repository_address(app))


def failure_at_end(end: Mapping[str, Any], what: str, remedy: str) -> UserError:
    """Return the error of what ended like this, in its own words; in these where it has none."""
    error = end.get("error")
    if not error:
        return RunFailed(what, remedy)
    at = error.get("location")
    location = Location(str(at["path"]), int(at.get("line") or 1), int(at.get("column") or 1)) if at else None
    kind: type[UserError] = type("RunFailed", (RunFailed,), {"id": str(error["id"])})
    return kind(error["what"], error["remedy"], detail=error.get("detail") or "", location=location)
