"""The program of a warm process: it loads the CDK, waits, and becomes the app's program when it is told which.

    python -P warm_start.py PASSING MODULES…
    python -P warm_start.py --soon PASSING MODULES…  the same, and it makes no small app
    python -P warm_start.py --now FILE.py …      waits for nothing; what this saves: `_begin_kernel` and `_end`

Run by the Python of an app's environment; nothing of Stagedoor is imported. Loading takes most of a synth, and nothing
of it depends on the app. When PASSING/ready is there, a list of the modules that are loaded, it waits for
PASSING/order, JSON with `cwd`, `env`, `argv` (the script and its arguments), and goes on as `python argv` does there.
The kernel of jsii, a Node process that took its folder and its environment when it started, is moved by
`warm_kernel.js`.
"""

import atexit
import builtins
import contextlib
import gc
import importlib.util
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

_LOOK_SECONDS, _SELDOM_SECONDS = 0.005, 0.025
_SOON_SECONDS = 30
"""In which most edits are followed by another. Who waits for longer may wait for an hour, and looks less often: looking
takes 2% of a processor, and then less than half a percent."""

_MORE_OBJECTS = 500_000
"""How many objects more than before there are when Python looks for garbage; its own setting is 700. A synth is short,
and keeps nearly all that it makes."""

_RUNTIME = "bin/jsii-runtime.js"
_UNPACKED: list[Any] = []

_SMALL = {
    "aws_cdk.aws_s3": lambda module, stack: module.Bucket(stack, "Bucket"),
    "aws_cdk.aws_sqs": lambda module, stack: module.Queue(stack, "Queue"),
    "aws_cdk.aws_sns": lambda module, stack: module.Topic(stack, "Topic"),
    "aws_cdk.aws_logs": lambda module, stack: module.LogGroup(stack, "Log"),
    "aws_cdk.aws_dynamodb": lambda module, stack: module.Table(
        stack, "Table", partition_key=module.Attribute(name="id", type=module.AttributeType.STRING)
    ),
    "aws_cdk.aws_lambda": lambda module, stack: module.Function(
        stack, "Function", runtime=module.Runtime.PYTHON_3_12, handler="a.b", code=module.InlineCode("pass")
    ),
    "aws_cdk.aws_events": lambda module, stack: module.Rule(
        stack, "Rule", schedule=module.Schedule.expression("rate(1 day)")
    ),
}
"""A construct of the modules that most apps use, so that what makes one is compiled before it is waited for."""


def main() -> None:
    """Load, wait, and be the app's program."""
    gc.set_threshold(_MORE_OBJECTS)
    soon = sys.argv[1] == "--soon"
    passing, *modules = sys.argv[2 if soon else 1 :]
    if passing == "--now":
        _become({"cwd": os.getcwd(), "env": {}, "argv": modules})
    loaded = _load(modules)
    if not soon:
        _make_small(loaded, f"{passing}/out")
    _write(Path(passing, "ready"), sorted({name.partition(".")[0] for name in sys.modules}))
    order, began = Path(passing, "order"), time.monotonic()
    while not order.exists():
        time.sleep(_LOOK_SECONDS if time.monotonic() - began < _SOON_SECONDS else _SELDOM_SECONDS)
    _become(json.loads(order.read_bytes()))


def _load(modules: list[str]) -> dict[str, Any]:
    """Import the modules, and return those that are there."""
    _begin_kernel(())
    loaded: dict[str, Any] = {}
    for name in modules:
        with contextlib.suppress(ImportError):
            loaded[name] = importlib.import_module(name)
    return loaded


def _make_small(loaded: dict[str, Any], output: str) -> None:
    """Have the CDK make a small app of what is loaded, which is thrown away."""
    cdk = loaded["aws_cdk"]
    app = cdk.App(outdir=output, analytics_reporting=False)
    stack = cdk.Stack(app, "Warm")
    for name in _SMALL.keys() & loaded.keys():
        with contextlib.suppress(Exception):  # an older library may lack something
            _SMALL[name](loaded[name], stack)
    app.synth()


def _begin_kernel(folders: Iterable[str]) -> None:
    """Start jsii's kernel, a Node process, now: jsii would start it when it is imported, and wait for it.

    jsii gets it if it starts the same in the same folder with the same environment; else it starts its own. Nothing is
    done for an app that has a module in `folders` under a name of Python's: it may be meant to be found first.
    """
    found = None if "jsii" in sys.modules else importlib.util.find_spec("jsii")
    own = {name.partition(".")[0] for folder in folders for name in _listed(folder)}
    if found is None or not found.origin or own & sys.stdlib_module_names:
        return
    import subprocess
    import tempfile

    folder = tempfile.TemporaryDirectory()
    embedded = os.path.join(os.path.dirname(found.origin), "_embedded", "jsii")
    for name in _listed(embedded):
        place, _, file = name.partition("__")  # as jsii unpacks them
        if file.endswith((".js", ".map")):
            os.makedirs(f"{folder.name}/{place}", exist_ok=True)
            Path(folder.name, place, file).write_bytes(Path(embedded, name).read_bytes())
    module: Any = subprocess
    started = module.Popen
    at, env = os.getcwd(), {**os.environ, "JSII_AGENT": f"Python/{sys.version.split()[0]}"}
    begun = ["node", "--max-old-space-size=4069", f"{folder.name}/{_RUNTIME}"]
    if not os.path.exists(begun[-1]):
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    kernel = started(begun, env=env, **pipes)

    class Popen(started):  # type: ignore[misc,valid-type]
        def __new__(cls, args: Any = (), **options: Any) -> Any:
            """Return the kernel to whom starts the same; whoever starts another kernel ends it."""
            if not (isinstance(args, list) and args and str(args[-1]).endswith(_RUNTIME)):
                return super().__new__(cls)
            module.Popen = started
            if [*args[:-1], begun[-1]] == begun and options == {"env": env, **pipes} and os.getcwd() == at:
                return kernel
            kernel.kill()
            kernel.communicate()
            return started(args, **options)

    module.Popen = Popen
    _UNPACKED.append(folder)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _write(file: Path, content: list[str]) -> None:
    beginning = file.with_suffix(".begun")
    beginning.write_text(json.dumps(content))
    beginning.replace(file)


def _become(order: dict[str, Any]) -> NoReturn:
    """Go on as `python argv` would in the folder and the environment that are told."""
    os.chdir(order["cwd"])
    for name in ("NODE_OPTIONS", "STAGEDOOR_WARM_ORDER"):
        os.environ.pop(name, None)
    os.environ.update(order["env"])
    sys.argv[:] = order["argv"]
    script = os.path.abspath(order["argv"][0])
    folders = [os.path.dirname(script), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:0] = folders if order["env"] else folders[:1]
    _begin_kernel(folders)
    try:
        exec(_code_of(script), _as_main(script))  # noqa: S102 - this is what we are for
    except Exception as error:
        traceback.print_exception(type(error), error, _from(script, error.__traceback__))
        _end(1)
    _end(0)


def _end(status: int) -> NoReturn:
    """End as Python does, but for taking each module apart, which takes longer than a small app's synth."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _as_main(script: str) -> dict[str, Any]:
    """Return the names of a new `__main__`, as Python makes it for a script."""
    main_module = ModuleType("__main__")
    main_module.__file__ = script
    main_module.__loader__ = SourceFileLoader("__main__", script)
    main_module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main_module
    return main_module.__dict__


def _code_of(script: str) -> CodeType:
    return compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)


def _from(script: str, frames: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that are not the app's, as it would not have them if it had been started itself."""
    own = frames
    while own is not None and own.tb_frame.f_code.co_filename != script:
        own = own.tb_next
    return own


if __name__ == "__main__":
    main()
