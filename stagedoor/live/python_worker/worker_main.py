"""A Python worker's program: get ready for a function as Lambda's own bootstrap does, then run awslambdaric.

Started as `python -S? worker_main.py`, in the function's folder, with the function's environment. Nothing here may load
what the function would not find loaded in Lambda, as far as that can be. Runs on Python 3.9 to 3.14.
"""

import os
import sys

_SETTINGS = "STAGEDOOR_WORKER"
"""JSON of `Settings` in `command.py`: folders to search, in order, before and after the interpreter's own."""


def main() -> None:
    """Wait for `go`, load the function's code, run its invocations until the process is ended."""
    import json

    settings = json.loads(os.environ.pop(_SETTINGS))
    told = _line()
    ordered = json.loads(told)
    sys.path[:1] = settings["first"]
    sys.path += settings["last"]
    _log_with_levels()
    from awslambdaric import __main__ as client

    if _line() != "go":
        return
    _end_with_the_agent()
    reports = _Reports(ordered["reports"])
    reports.watch()
    handler = os.environ["_HANDLER"]
    sys.argv = [sys.argv[0], handler]
    try:
        client.main(sys.argv)
    finally:
        reports.send()


def _line() -> str:
    """Return the agent's next line; byte by byte, as it is said once and nothing must be read too far."""
    line = bytearray()
    while True:
        byte = os.read(0, 1)
        if not byte:
            os._exit(0)
        if byte == b"\n":
            return line.decode()
        line += byte


def _log_with_levels() -> None:
    """Let awslambdaric log in Lambda's frames, into the same pipe as what is printed."""
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))


def _end_with_the_agent() -> None:
    """Be killed when the agent is gone: it holds the other end of this process's input, and says nothing more there.

    The kernel sends the signal; a thread that waits would be seen by the function's code.
    """
    import fcntl
    import signal

    held = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    if sys.platform == "linux":
        fcntl.fcntl(held, 10, signal.SIGKILL)  # F_SETSIG of fcntl(2), which the module does not name
    else:
        signal.signal(signal.SIGIO, lambda *_: os._exit(1))
    fcntl.fcntl(held, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(held, fcntl.F_SETFL, fcntl.fcntl(held, fcntl.F_GETFL) | os.O_ASYNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


class _Reports:
    """Tells the agent which files this process has loaded, whenever the runtime asks for its next invocation."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = 0
        self._told = set()  # type: ignore[var-annotated]
        os.set_inheritable(descriptor, False)

    def watch(self) -> None:
        """Look after the function was loaded and after each invocation."""
        from awslambdaric import lambda_runtime_client

        native = lambda_runtime_client.runtime_client
        ask = native.next

        def ask_and_tell():  # type: ignore[no-untyped-def]
            self.send()
            return ask()

        native.next = ask_and_tell

    def send(self) -> None:
        """Tell of what is new."""
        if len(sys.modules) == self._seen:
            return
        self._seen = len(sys.modules)
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        new = {file for file in files if isinstance(file, str)} - self._told
        if new:
            import json

            self._told |= new
            try:
                os.write(self._descriptor, json.dumps({"files": sorted(new)}).encode() + b"\n")
            except OSError:
                pass


if __name__ == "__main__":
    main()
