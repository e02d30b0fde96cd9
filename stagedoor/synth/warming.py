"""Do once, while an environment may be written, what each synth of a Python CDK app would do anew.

Measured with aws-cdk-lib 2.275.0: compiling the modules that an app imports, unpacking the library for Node and
indexing its types take three times as long as the synth itself. A synth cannot keep them, as it must not write what
others use.
"""

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.executor import Command, Executor
from stagedoor.synth.inside import INSIDE, START
from stagedoor.synth.library_modules import modules_behind
from stagedoor.synth.tree import UnsafeFile, read_text

_PROGRAM = """
import contextlib, importlib.util, pathlib, subprocess, sys, tempfile, time
store, start, heavy, *names = sys.argv[1:]
library = pathlib.Path(importlib.util.find_spec("aws_cdk").origin).parent
folders = [str(library / name.removeprefix("aws_cdk.")) for name in (*heavy.split(","), *names[1:])]
compiling = subprocess.Popen([sys.executable, "-I", "-m", "compileall", "-q", *folders])
spec = importlib.util.spec_from_file_location("warm_start", start)
warm_start = importlib.util.module_from_spec(spec)
spec.loader.exec_module(warm_start)
loaded = warm_start.load(names, keep=True)
with contextlib.suppress(Exception), tempfile.TemporaryDirectory() as out:
    warm_start.make_small(loaded, out)
compiling.wait()
jsii = pathlib.Path(importlib.util.find_spec("jsii").origin).parent
indexes = (jsii / "_embedded" / "jsii" / "lib__runtime-index-worker.js").exists()
deadline = time.monotonic() + 60
while indexes and time.monotonic() < deadline:
    if list(pathlib.Path(store).glob("aws-cdk-lib/*/*/.jsii.runtime.v*.json")):
        break
    time.sleep(0.05)
"""
"""Imports what it is told, then waits for the index of types, which newer jsii (1.142 does) writes in the background.

Most modules are compiled by a second process meanwhile, since the import first waits for Node to unpack the library.
"""

_FORMAT = "5"
"""Raised when more is kept, so that it is made for older environments, too."""

_BY_A_SIGNAL = 128

_HEAVY = "aws_ec2,aws_s3,aws_cloudwatch,aws_logs,aws_iam,aws_events,interfaces/aws_ec2"
"""What nearly every app imports without naming it; the largest modules of the library."""


def warm(environment: Path, app_dir: Path, executor: Executor, emit: Emit) -> None:
    """Warm `environment` for the app, unless that was done for all of its modules; failing costs time only.

    One that passed a limit would pass it again, so it is not tried again; one that something else cut short is.
    """
    modules = cdk_modules(app_dir, environment)
    if not modules:
        return
    marker = environment / f"warm-{hashlib.sha256(' '.join((_FORMAT, *modules)).encode()).hexdigest()[:16]}"
    if marker.exists() or _warmed(environment).issuperset(modules):
        return
    emit(Event(EventKind.LOG, "install", message="Compiling aws_cdk for its first use here: some seconds, once"))
    store = str(environment / "jsii")
    python = str(environment / "venv" / "bin" / "python")
    command = Command(
        name="install",
        argv=(python, "-I", "-c", _PROGRAM, store, str(START), _HEAVY, *modules),
        cwd=environment,
        env={"JSII_RUNTIME_PACKAGE_CACHE_ROOT": store, "CDK_VALIDATION": "false"},
        readable=INSIDE,
        writable=(environment,),
    )
    try:
        status = executor.run(command, _ignore).status
    except UserError:
        status = 1
    if status < _BY_A_SIGNAL:
        marker.write_text("" if status else " ".join((_FORMAT, *modules)))


def _warmed(environment: Path) -> set[str]:
    """Return the modules that were warmed here, for whichever app; one that was not tried to its end is none."""
    told = [marker.read_text().split() for marker in environment.glob("warm-*")]
    return {module for words in told if words[:1] == [_FORMAT] for module in words[1:]}


def cdk_modules(app_dir: Path, environment: Path) -> list[str]:
    """Return the modules of `aws_cdk` whose names occur in the app's Python files, or in constructs of ours that do."""
    library = next(environment.glob("venv/lib/python*/site-packages/aws_cdk"), None)
    if library is None:
        return []
    words: set[str] = set()
    named: set[str] = set()
    for directory, folders, files in os.walk(app_dir):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("node_modules", "cdk.out")]
        for name in files:
            if name.endswith(".py"):
                with suppress(UnsafeFile):
                    text = read_text(Path(directory, name), app_dir)
                    words |= set(re.findall(r"\baws_\w+", text))
                    named |= set(re.findall(r"\b[A-Z]\w+", text)) if "stagedoor" in text else set()
    words |= modules_behind(named) if named else set()
    return ["aws_cdk", *sorted(f"aws_cdk.{word}" for word in words if (library / word / "__init__.py").is_file())]


def _ignore(_line: str) -> None:
    """What is printed while warming is of no use to anybody."""
