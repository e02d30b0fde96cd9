"""`stagedoor init`: begin an app, or add what an app or a front end that is there lacks."""

import subprocess
from pathlib import Path

import click

from stagedoor.bundling.tools import find_uv
from stagedoor.cli.options import EXIT_CODES, Options
from stagedoor.cli.own_package import put_own_package
from stagedoor.cli.scaffold import FrontEnd, Writing, check_empty, front_end_of, name_of
from stagedoor.cli.screen import Ending
from stagedoor.cli.work import Work, at_work
from stagedoor.errors import UserError
from stagedoor.events import Event, EventKind

NEW = ("python-api", "typescript-functions", "minimal")
_GITIGNORE = ".stagedoor/\ncdk.out/\n"
_EVERY = "every"
_IN_CDK = """\
# What Stagedoor is told of this repository: docs/configuration.md
[apps.{name}]
path = "."
"""


class NoLock(UserError):
    """The project's packages could not be found out."""

    id = "no-lock"


@click.command(epilog=EXIT_CODES)
@click.option("--template", type=click.Choice(NEW), help="What to begin with. [default: python-api]")
@click.option("--no-lock", is_flag=True, help="Do not look for the packages' versions now; run `uv lock` later.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout, the result as the last one.")
@click.option("-v", "--verbose", is_flag=True, help="Show what uv prints.")
def init(template: str | None, no_lock: bool, as_json: bool, verbose: bool) -> None:
    """Begin an app in this folder, or add Stagedoor to what is there.

    In an empty folder: an app that `stagedoor deploy` gives a URL. Beside a CDK app (cdk.json): a stagedoor.toml and
    lines for .gitignore. Beside a front end (a package.json with Vite, Next, Astro, Gatsby or Create React App): an app
    in infra/ that deploys it, with an API. No file is overwritten.

    \b
    Example:
      mkdir notes && cd notes
      stagedoor init && stagedoor deploy
    """
    with at_work(Options(None, None, None, None, as_json, verbose)) as work, work.interruption.anywhere():
        folder = Path.cwd().resolve()
        writing = Writing(folder, {"name": name_of(folder)}, [], [])
        site = front_end_of(folder)
        with work.screen:
            if template is None and (folder / "cdk.json").is_file():
                ending = _beside_cdk(writing)
            elif template is None and site is not None:
                ending = _beside_front_end(work, writing, site, lock=not no_lock)
            else:
                ending = _new(work, writing, template, lock=not no_lock)
        work.screen.end(ending)


def _new(work: Work, writing: Writing, template: str | None, *, lock: bool) -> Ending:
    if template is None:
        check_empty(writing.folder)
    chosen = template or NEW[0]
    _project(work, writing, chosen, lock=lock)
    said = ("stagedoor deploy   # a stage of your own, with a URL", "stagedoor dev      # run its functions here")
    return _ending(f"{writing.words['name']} is begun ({chosen}).", writing, said, {"template": chosen})


def _beside_cdk(writing: Writing) -> Ending:
    writing.file(Path("stagedoor.toml"), _IN_CDK.format(name=writing.words["name"]))
    writing.file(Path(".gitignore"), _GITIGNORE)
    said = (
        "stagedoor deploy   # a stage of your own, beside all others",
        "stagedoor dev      # run its functions here, fed by real events",
        "Each pull request gets a stage of its own where a service has this repository.",
    )
    return _ending("This CDK app can be deployed as it is.", writing, said, {"template": None})


def _beside_front_end(work: Work, writing: Writing, site: FrontEnd, *, lock: bool) -> Ending:
    words = {"command": site.command, "output": site.output, "variable": site.variable, "spa": str(site.spa)}
    writing.words = {**writing.words, **words}
    _project(work, writing, "front-end", lock=lock)
    said = [
        "stagedoor deploy   # the site and an API, in a stage of your own",
        f"The site finds the API by {site.variable}.",
    ]
    if site.tool == "next":
        said.append('next.config needs output: "export", as the site is made of files.')
    return _ending(
        f"infra/app.py deploys this {site.tool} site, with an API.", writing, said, {"template": "front-end"}
    )


def _project(work: Work, writing: Writing, template: str, *, lock: bool) -> None:
    """Write an app's project: what each has and its own files, this Stagedoor's wheel where need be, and the lock."""
    project = writing.folder
    begun = not (project / "pyproject.toml").exists()
    if begun:
        with work.phase("stagedoor"):
            package = put_own_package(project)
        writing.words = {**writing.words, "stagedoor": package.requirement, "sources": package.sources}
        if package.wheel:
            writing.written.append(f"vendor/{package.wheel}")
    writing.template(template)
    writing.template(_EVERY)
    if lock and begun:
        with work.phase("lock"):
            _lock(work, project)
        writing.written.append("uv.lock")


def _lock(work: Work, project: Path) -> None:
    """Write `uv.lock`: which versions of what it needs the project has. Raises `NoLock`."""
    uv = find_uv()
    if uv is None:
        raise NoLock("uv, which finds out the packages' versions, is not installed here.", "pip install uv; uv lock")
    done = subprocess.run(
        [str(uv), "lock", "--project", str(project)], cwd=project, capture_output=True, text=True, check=False
    )
    for line in done.stderr.splitlines():
        work.emit(Event(EventKind.LOG, "uv", message=line))
    if done.returncode != 0:
        remedy = "Run `uv lock` again when what it says below is put right; all files are written."
        raise NoLock("The packages' versions could not be found out.", remedy, detail=done.stderr)


def _ending(sentence: str, writing: Writing, said: "list[str] | tuple[str, ...]", data: dict[str, object]) -> Ending:
    files = tuple(f"  wrote {name}" for name in writing.written)
    files += tuple(f"  added to {name}" for name in writing.extended)
    written = {"written": writing.written, "extended": writing.extended}
    return Ending(sentence, (*files, "", *said), data={**data, **written, "name": writing.words["name"]})
