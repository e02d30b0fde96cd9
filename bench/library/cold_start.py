"""What `stagedoor.runtime` adds to a cold start, over a handler that imports nothing."""

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import quantiles

from bench.results import Result
from bench.rows import Row
from stagedoor import runtime

BAR_MS = 5
_PROCESSES = 20
"""Processes of each side in a round."""

_EMPTY = "def handle(event, context):\n    return 'notes'\n"
_WITH_RUNTIME = (
    "from stagedoor.runtime import Table\n\ndef handle(event, context):\n    return Table.Notes.table_name\n"
)

_COLD = """
import importlib, json, logging, logging.config, os, sys, time, traceback, warnings, http.client
began = time.perf_counter_ns()
handler = importlib.import_module("handler").handle
answer = handler({}, None)
took = time.perf_counter_ns() - began
assert answer == "notes", answer
print(took)
"""
"""What a function's process does: the runtime client's own imports first, which no handler is spared
(https://github.com/aws/aws-lambda-python-runtime-interface-client, `bootstrap.py`); then the handler's, and a call."""

HOW = """
**Cold start.** A new process each time (`python -X frozen_modules=on`), in which what AWS's runtime client for Python
imports is loaded, as in Lambda; then the time is taken in which the handler is imported and called once. The handler
with `stagedoor.runtime` reads one attribute of a table. The sides alternate, {count} processes each; a number is the
difference of the sides' lower quartiles, as whatever else runs on the machine only lengthens a start. *From source*:
Python compiles the runtime's files in the process, as in a bundle without bytecode; *compiled*: it finds bytecode.
"""


def cold_start(rounds: int) -> Row:
    """Measure the difference, with bytecode beside the sources and without."""
    count = rounds * _PROCESSES
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as place:
        sides = {
            "empty": _bundle(Path(place, "empty"), _EMPTY, compiled=True),
            "compiled": _bundle(Path(place, "compiled"), _WITH_RUNTIME, compiled=True),
            "empty, from source": _bundle(Path(place, "empty-source"), _EMPTY, compiled=False),
            "from source": _bundle(Path(place, "source"), _WITH_RUNTIME, compiled=False),
        }
        took: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(count + 1):
            for name, folder in sides.items():
                milliseconds = _cold(folder)
                if number:  # the first brings the files into memory
                    took[name].append(milliseconds)
    return Row(tuple(_results(took)), HOW.format(count=count))


def _results(took: Mapping[str, Sequence[float]]) -> Iterator[Result]:
    for name, empty in (("compiled", "empty"), ("from source", "empty, from source")):
        ours, theirs = quantiles(took[name])[0], quantiles(took[empty])[0]
        value = round(ours - theirs, 2)
        against = f"an empty handler: {theirs:.2f} ms; with stagedoor.runtime: {ours:.2f} ms"
        yield Result(f"cold start, {name}", value, "ms", f"≤ {BAR_MS} ms", value <= BAR_MS, against)


def _bundle(folder: Path, handler: str, *, compiled: bool) -> Path:
    """Return a folder as a function's bundle has it."""
    package = folder / "stagedoor" / "runtime"
    package.mkdir(parents=True)
    (folder / "handler.py").write_text(handler)
    (package.parent / "__init__.py").write_text("")
    for file in Path(str(runtime.__file__)).parent.glob("*.py"):
        shutil.copy(file, package)
    if compiled:
        compileall.compile_dir(folder, quiet=1)
    return folder


def _cold(folder: Path) -> float:
    """Return the milliseconds that a handler took in a new process."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "STAGEDOOR_BIND_Table_Notes": '{"table_name": "notes"}',
    }
    words = [sys.executable, "-X", "frozen_modules=on", "-c", _COLD]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e6
