"""The program of a warm process: it loads the CDK, waits, and becomes the app's program when it is told which.

    python -P warm_start.py PASSING MODULES…
    python -P warm_start.py --soon PASSING MODULES…  the same, and it makes no small app
    python -P warm_start.py --now FILE.py …      waits for nothing; what this saves: `kernel_start.py` and `_end`

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
from collections.abc import Callable, Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

_AT_ONCE_SECONDS, _LOOK_SECONDS, _SELDOM_SECONDS = 0.001, 0.005, 0.025
_SOON_SECONDS = 30
"""In which most edits are followed by another. Who waits for longer may wait for an hour, and looks less often: looking
takes 2% of a processor, and then less than half a percent."""

_MORE_OBJECTS = 500_000
"""How many objects more than before there are when Python looks for garbage; its own setting is 700. A synth is short,
and keeps nearly all that it makes."""


def main() -> None:
    """Load, wait, and be the app's program."""
    gc.set_threshold(_MORE_OBJECTS)
    soon = sys.argv[1] == "--soon"
    passing, *modules = sys.argv[2 if soon else 1 :]
    if passing == "--now":
        _become({"cwd": os.getcwd(), "env": {}, "argv": modules})
    loaded = load(modules)
    if not soon:
        make_small(loaded, f"{passing}/small")
    _write(Path(passing, "ready"), sorted({name.partition(".")[0] for name in sys.modules}))
    order, began = Path(passing, "order"), time.monotonic()
    while not order.exists():
        often = _AT_ONCE_SECONDS if soon else _LOOK_SECONDS
        time.sleep(often if time.monotonic() - began < _SOON_SECONDS else _SELDOM_SECONDS)
    _become(json.loads(order.read_bytes()))


def load(modules: list[str], *, keep: bool = False) -> dict[str, Any]:
    """Import the modules, and return those that are there. `keep`: what is made on the way is for others, too."""
    _begin_kernel((), keep=keep)
    loaded: dict[str, Any] = {}
    for name in modules:
        with contextlib.suppress(ImportError):
            loaded[name] = importlib.import_module(name)
    return loaded


def make_small(loaded: dict[str, Any], output: str) -> None:
    """Have the CDK make a small app of what is loaded, which is thrown away, so that the code that makes what most apps
    have is ready before it is waited for.
    """
    app = loaded["aws_cdk"].App(outdir=f"{output}/cdk.out", analytics_reporting=False)
    stack = loaded["aws_cdk"].Stack(app, "Warm")
    code = Path(output, "code")
    code.mkdir(parents=True)
    (code / "function.py").touch()
    _make_parts(stack, lambda name: loaded[f"aws_cdk.{name}"], str(code))
    app.synth()


def _make_parts(stack: Any, module: Callable[[str], Any], code: str) -> None:
    """Make one of each; what is of a module that is not loaded, or that an older library lacks, is left out."""
    possible = contextlib.suppress(Exception)
    bucket: Any = None
    queue: Any = None
    table: Any = None
    function: Any = None
    with possible:
        bucket = module("aws_s3").Bucket(stack, "Bucket")
    with possible:
        queue = module("aws_sqs").Queue(stack, "Queue")
    with possible:
        module("aws_sns").Topic(stack, "Topic")
    with possible:
        module("aws_logs").LogGroup(stack, "Log")
    with possible:
        module("aws_ssm").StringParameter(stack, "Parameter", string_value="value")
    with possible:
        dynamodb = module("aws_dynamodb")
        key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
        table = dynamodb.Table(stack, "Table", partition_key=key)
    with possible:
        lambda_ = module("aws_lambda")
        runtime, source = lambda_.Runtime.PYTHON_3_12, lambda_.Code.from_asset(code)
        function = lambda_.Function(stack, "Function", runtime=runtime, handler="function.handler", code=source)
    with possible:
        bucket.grant_read_write(function)
    with possible:
        table.grant_read_write_data(function)
    with possible:
        function.add_event_source(module("aws_lambda_event_sources").SqsEventSource(queue))
    with possible:
        events = module("aws_events")
        events.Rule(stack, "Rule", schedule=events.Schedule.expression("rate(1 day)"))
    with possible:
        api = module("aws_apigatewayv2").HttpApi(stack, "Api")
        call = module("aws_apigatewayv2_integrations").HttpLambdaIntegration("Call", function)
        api.add_routes(path="/", integration=call)


def _begin_kernel(folders: Iterable[str], *, keep: bool = False) -> None:
    """Start jsii's kernel, which jsii would start when it is imported, and wait for it (`kernel_start.py`).

    Nothing is done for an app that has a module in `folders` under a name of Python's: it may be meant to be found
    first. `keep`: what the kernel has loaded when it ends is kept for those that come.
    """
    own = {name.partition(".")[0] for folder in folders for name in _listed(folder)}
    if not own & sys.stdlib_module_names:
        _beside("kernel_start").begin_kernel(keep=keep)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _beside(name: str) -> Any:
    """Return a module that lies beside this program: that folder is on no path, as all of Stagedoor is in it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    module.__loader__.exec_module(module)
    return module


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
