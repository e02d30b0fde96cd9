"""Public CDK apps, as they are, through their whole life on the local AWS: deploy, again, change, diff, remove.

    python -m bench.apps [--from FOLDER|URL] [--only TEXT ...] [--seconds N]

Nothing of the repository is kept here: it is cloned, or taken from a folder that holds it. Each app is copied out
alone, given the lock file that npm would write where it has none, and run by `stagedoor` from the shell. An app whose
resources have fixed names is refused as a preview, by design, and goes on as a stage that is to last.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from bench.apps_list import APPS, CAUSES, COMMIT, REPOSITORY, Cause, PublicApp
from bench.results import Result, write_results
from demo.aws.server import LocalAws

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".stagedoor" / "cache"
CHANGE = Path(__file__).with_name("apps_change.py")
PREVIEW, LASTING = "bench", "prod-bench"
_OF_TESTS = re.compile(r"^(jest|ts-jest|aws-cdk|@swc/.*|eslint.*|prettier)$")
STEPS = ("deploy", "again", "change", "diff", "remove")


class StepFailed(Exception):
    """A step of an app's life that did not go as it should; `id` is the error's, or what was seen instead."""

    def __init__(self, step: str, error_id: str, what: str) -> None:
        super().__init__(f"{step}: {what}")
        self.step, self.id, self.what = step, error_id, what


@dataclass(slots=True)
class Life:
    """What became of one app: seconds by step, and the step that failed."""

    app: PublicApp
    stage: str = PREVIEW
    stacks: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    failure: StepFailed | None = None

    @property
    def cause(self) -> Cause | None:
        """Who kept it from coming through; None: nobody did."""
        if self.failure is None:
            return None
        return self.app.cause or CAUSES.get(self.failure.id, Cause.UNKNOWN)


class Place:
    """One app in a folder and an account of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], seconds: float) -> None:
        self.folder, self.environment, self._seconds = folder, environment, seconds

    def stagedoor(self, step: str, *arguments: str) -> dict[str, Any]:
        """Run a command and return its result; raises `StepFailed`."""
        command = [sys.executable, "-m", "stagedoor.cli", *arguments, "--json"]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment, capture_output=True, timeout=self._seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise StepFailed(step, "timeout", f"no end after {self._seconds:g} s") from None
        lines = done.stdout.decode(errors="replace").splitlines()
        result = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        if done.returncode:
            error = result.get("error") or {"id": f"exit-{done.returncode}", "what": done.stderr.decode()[-400:]}
            raise StepFailed(step, str(error["id"]), " ".join(str(error["what"]).split()))
        return dict(result)

    def left(self) -> list[str]:
        """Return the stacks and buckets that are there beside the bootstrap's."""
        client = boto3.client("cloudformation", **self._client())
        stacks = [s["StackName"] for page in client.get_paginator("describe_stacks").paginate() for s in page["Stacks"]]
        buckets = [b["Name"] for b in boto3.client("s3", **self._client()).list_buckets()["Buckets"]]
        return [name for name in (*stacks, *buckets) if not name.startswith(("cdk-", "CDKToolkit", "stagedoor-"))]

    def template_texts(self) -> Iterator[str]:
        """Yield each stack's template as CloudFormation has it."""
        client = boto3.client("cloudformation", **self._client())
        for page in client.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                yield json.dumps(client.get_template(StackName=stack["StackName"])["TemplateBody"])

    def _client(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.environment["AWS_ENDPOINT_URL"],
            "region_name": self.environment["AWS_REGION"],
            "aws_access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": "local",
        }


def live(life: Life, place: Place) -> None:
    """Take an app through its life; what goes wrong is written into `life`."""
    given = [word for value in life.app.parameters for word in ("--parameter", value)]
    try:
        place.stagedoor("bootstrap", "bootstrap")
        try:
            deployed = _timed(life, "deploy", place, "deploy", "--stage", life.stage, *given)
        except StepFailed as failure:
            if failure.id != "fixed-physical-name":
                raise
            life.stage = LASTING
            deployed = _timed(life, "deploy", place, "deploy", "--stage", life.stage, *given)
        life.stacks = len(deployed["stacks"])
        again = _timed(life, "again", place, "deploy", "--stage", life.stage, *given)
        if not again["unchanged"]:
            raise StepFailed("again", "not-unchanged", "the second deploy found something to do")
        change_app(place.folder)
        _timed(life, "diff", place, "diff", "--stage", life.stage, *given)
        changed = _timed(life, "change", place, "deploy", "--stage", life.stage, *given)
        if changed["unchanged"] or not any("changed by bench" in text for text in place.template_texts()):
            raise StepFailed("change", "not-changed", "the change did not reach CloudFormation")
        removed = _timed(life, "remove", place, "remove", "--stage", life.stage, "--confirm", life.stage)
        kept = {kept["id"] for kept in removed["kept"]}
        if left := [name for name in place.left() if name not in kept]:
            raise StepFailed("remove", "left-behind", f"left behind: {', '.join(left)}")
    except StepFailed as failure:
        life.failure = failure


def _timed(life: Life, step: str, place: Place, *arguments: str) -> dict[str, Any]:
    began = time.monotonic()
    result = place.stagedoor(step, *arguments)
    life.seconds[step] = time.monotonic() - began
    return result


def change_app(folder: Path) -> None:
    """Change the app in a way that needs no knowledge of its source: a line of ours after its own program."""
    settings = json.loads((folder / "cdk.json").read_text())
    shutil.copy(CHANGE, folder / ".bench_change.py")
    settings["app"] = f"({settings['app']}) && python3 .bench_change.py"
    (folder / "cdk.json").write_text(json.dumps(settings))


def copy_out(source: Path, folder: Path) -> None:
    """Copy one app, without what its unit tests need, and write the lock file that an owner would have committed."""
    shutil.copytree(source, folder, symlinks=True, ignore=shutil.ignore_patterns("node_modules", "cdk.out", ".venv"))
    if not (folder / "package.json").is_file() or (folder / "package-lock.json").is_file():
        return
    package = json.loads((folder / "package.json").read_text())
    tools = package.get("devDependencies", {})
    package["devDependencies"] = {name: version for name, version in tools.items() if not _OF_TESTS.match(name)}
    (folder / "package.json").write_text(json.dumps(package))
    command = ["npm", "install", "--package-lock-only", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=folder, check=True)


def checkout(source: str | None, scratch: Path) -> Path:
    """Return a folder that holds the repository, cloned from its address where it is not one already."""
    if source and Path(source).is_dir():
        return Path(source)
    folder = scratch / "repository"
    subprocess.run(["git", "clone", "--quiet", source or REPOSITORY, str(folder)], check=True)
    if source is None:
        subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", COMMIT], check=True)
    return folder


def run(apps: Sequence[PublicApp], source: str | None, seconds: float) -> list[Life]:
    """Take the apps through their lives, one after the other."""
    lives = []
    with tempfile.TemporaryDirectory(prefix="stagedoor-apps-") as folder:
        scratch = Path(folder)
        repository = checkout(source, scratch)
        for number, app in enumerate(apps, 1):
            life = Life(app)
            with LocalAws(scratch / f"aws-{number}") as aws:
                environment = {**os.environ, **aws.environment(region=app.region), "STAGEDOOR_CACHE_DIR": str(CACHE)}
                place = Place(scratch / f"app-{number}", environment, seconds)
                try:
                    copy_out(repository / app.path, place.folder)
                    live(life, place)
                except subprocess.CalledProcessError as error:
                    life.failure = StepFailed("copy", "npm-failed", f"{error.cmd[0]} ended with {error.returncode}")
            shutil.rmtree(scratch / f"app-{number}", ignore_errors=True)
            print(_line(life), flush=True)
            lives.append(life)
    return lives


def _line(life: Life) -> str:
    times = " ".join(f"{step} {life.seconds[step]:.1f}" for step in STEPS if step in life.seconds)
    end = "through" if life.failure is None else f"FAILED ({life.cause}) {life.failure} [{life.failure.id}]"
    return f"{life.app.path} · {life.stage} · {end} · {times}"


def results(lives: Sequence[Life]) -> list[Result]:
    """Return a row for each app, and one for them all."""
    ours = [life for life in lives if life.cause in (Cause.OURS, Cause.UNKNOWN)]
    through = sum(life.failure is None for life in lives)
    rows = [Result("apps that come through", through, f"of {len(lives)}", "none fails for us", not ours, "")]
    for life in lives:
        words = "through" if life.failure is None else f"{life.cause}: {life.app.why or life.failure}"
        total = sum(life.seconds.values())
        stage = "a stage that is to last, as its names are fixed" if life.stage == LASTING else "a preview"
        stacks = f"; {life.stacks} stack{'s' * (life.stacks != 1)}" if life.stacks else ""
        against = f"{words}; as {stage}{stacks}"
        bar = "fails not for us"
        rows.append(Result(life.app.path, round(total, 1), "s", bar, life not in ours, against))
    return rows


HOW = """
Each app is one of {repository} at {commit}, as it is, in an account of its own of the local AWS. `stagedoor` is run
from the shell: bootstrap, deploy, deploy again (must say unchanged), diff, deploy with a resource's description or tag
changed (must reach CloudFormation), remove (nothing may be left but what the app retains in a stage that is to last).
Seconds are those of all steps together, the first installation of the app's packages included where the cache was
cold. An app that is refused as a preview, since resources have names that each stage would claim, goes on as a stage
that is to last.

The local AWS is no AWS: that an app comes through says that we do our part.
"""


def main() -> None:
    """Run the benchmark; the exit code says whether no app failed for us."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", help="a folder that holds the repository, or its address")
    parser.add_argument("--only", nargs="*", help="apps whose path holds one of these texts; writes no results")
    parser.add_argument("--seconds", type=float, default=240, help="the longest that one command may take")
    given = parser.parse_args()
    chosen = [app for app in APPS if not given.only or any(text in app.path for text in given.only)]
    rows = results(run(chosen, given.source, given.seconds))
    if given.only:
        sys.exit(not all(row.ok for row in rows))
    how = HOW.format(repository=REPOSITORY, commit=COMMIT[:12])
    sys.exit(not write_results("apps", "Public CDK apps", rows, how, ["stagedoor"]))


if __name__ == "__main__":
    main()
