"""A Python worker's program: gets ready for a function as Lambda's own bootstrap does, then runs awslambdaric.

It is started in the function's folder with the function's environment, and speaks with the agent as `WorkerCommand` in
`functions.py` has it. It loads little, so that the function finds little loaded.
Standard library only; Python 3.9 to 3.14.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # `typing` is none of the function's
if TYPE_CHECKING:
    from types import TracebackType

_SETTINGS = "STAGEDOOR_WORKER"
"""JSON: the folders to search `first` and `last`, before and after the interpreter's own."""

_AWS_SDK = {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3"}
"""Libraries that are slow to load and the same whenever they are loaded, as the standard library is."""


def main() -> None:
    """Wait to be told to go, load the function's code, run its invocations until the process is ended."""
    settings = json.loads(os.environ.pop(_SETTINGS))
    order = json.loads(_line())
    sys.path[0] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in")
    import runtime_client  # type: ignore[import-not-found, unused-ignore] # noqa: F401 — awslambdaric finds it loaded

    sys.path[:1] = settings["first"]
    sys.path += settings["last"]
    # awslambdaric's log entries go, with their levels, into the pipe that takes what is printed.
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
    from awslambdaric import __main__ as runtime  # type: ignore[import-not-found, unused-ignore]

    _load(order["preload"])
    reports = _Reports(order["reports"])
    if _line() != "go":
        return
    _end_with_the_agent()
    _ask_in_this_thread()
    reports.begin()
    sys.argv = [sys.argv[0], os.environ["_HANDLER"]]
    try:
        runtime.main(sys.argv)
    except Exception as error:
        _cut(error.__traceback__)
        raise
    finally:
        reports.send()


def _line() -> str:
    """Return the agent's next line, and read no further; without an agent, end."""
    line = bytearray()
    while (byte := os.read(0, 1)) != b"\n":
        if not byte:
            os._exit(0)
        line += byte
    return line.decode()


def _load(modules: list[str]) -> None:
    """Load libraries that the function will ask for, while there is time; one that is gone is none of ours."""
    from contextlib import suppress
    from importlib import import_module

    for name in modules:
        with suppress(Exception):
            import_module(name)


def _end_with_the_agent() -> None:
    """Be killed when the agent is gone: it holds the other end of this process's input, and says nothing more there.

    The kernel sends the signal (fcntl(2), F_SETSIG); a thread that waits for it would be seen by the function's code.
    """
    import fcntl
    import signal

    held = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    if sys.platform == "linux":
        set_signal = 10  # F_SETSIG, which the module does not name before Python 3.12
        fcntl.fcntl(held, set_signal, signal.SIGKILL)
    else:
        signal.signal(signal.SIGIO, lambda *_: os._exit(1))
    fcntl.fcntl(held, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(held, fcntl.F_SETFL, fcntl.fcntl(held, fcntl.F_GETFL) | os.O_ASYNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _ask_in_this_thread() -> None:
    """Have the runtime wait for each invocation where it runs it.

    From Python 3.12 on awslambdaric starts a thread for each `/next`, and ends it before the handler runs, as its
    native client would keep signals from being handled meanwhile. That is half of what an invocation costs, and ours
    does not.
    """
    from awslambdaric import lambda_runtime_client

    client = lambda_runtime_client.LambdaRuntimeClient
    wait = client.wait_next_invocation

    def wait_here(self: object) -> object:
        self.use_thread_for_polling_next = False  # type: ignore[attr-defined]
        return wait(self)

    client.wait_next_invocation = wait_here


def _cut(trace: TracebackType | None) -> None:
    """Leave out of a traceback what the stand-in did, as a native client leaves nothing there."""
    while trace is not None and trace.tb_next is not None:
        if trace.tb_next.tb_frame.f_globals is vars(sys.modules["runtime_client"]):
            trace.tb_next = None
        trace = trace.tb_next


class _Reports:
    """Tells the agent which files this process has loaded, whenever the runtime asks for its next invocation."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._known: set[str] = set()
        os.set_inheritable(descriptor, False)

    def begin(self) -> None:
        """Leave out what is loaded already, and look when the function was loaded and after each invocation."""
        from awslambdaric import lambda_runtime_client

        client = lambda_runtime_client.runtime_client
        ask = client.next

        def tell_and_ask() -> object:
            self.send()
            return ask()

        client.next = tell_and_ask

    def send(self) -> None:
        """Tell of what is new."""
        if len(sys.modules) == len(self._known):
            return
        new = {name: module for name, module in list(sys.modules.items()) if name not in self._known}
        self._known.update(new)
        files = {name: getattr(module, "__file__", None) for name, module in new.items()}
        report = {
            "files": sorted({file for file in files.values() if isinstance(file, str)}),
            "libraries": [name for name, file in files.items() if _is_library(name, file)],
        }
        os.write(self._descriptor, json.dumps(report).encode() + b"\n")


def _is_library(name: str, file: object) -> bool:
    """Whether a module is as good loaded before the function's code as by it."""
    if not isinstance(file, str) or name == "__main__" or file.startswith(os.getcwd() + os.sep):
        return False
    standard = file.startswith(os.path.dirname(os.__file__) + os.sep) and "-packages" not in file
    return standard or name.partition(".")[0] in _AWS_SDK


if __name__ == "__main__":
    main()
