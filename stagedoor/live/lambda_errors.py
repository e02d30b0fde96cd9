"""The errors that Lambda itself reports for a function, word for word. Pure; standard library only.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html, and AWS's own emulator,
github.com/aws/aws-lambda-runtime-interface-emulator: `internal/lambda/rapid/handlers.go`, `interop/model.go`.
"""

import json
import signal
from dataclasses import dataclass

LARGEST_RESPONSE = 6 * 1024 * 1024 + 100
"""Most bytes of a response that Lambda takes from a runtime."""

_SIGNALS = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGPIPE: "broken pipe",
    signal.SIGALRM: "alarm clock",
    signal.SIGTERM: "terminated",
}
"""What Go calls them, in which Lambda's supervisor is written (`syscall.Signal.String`)."""


@dataclass(frozen=True, slots=True)
class FunctionError:
    """An error of Lambda's own: what its caller gets."""

    type: str
    message: str

    def body(self) -> bytes:
        """Return the payload that the caller of the function gets."""
        document = {"errorType": self.type, "errorMessage": self.message}
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def timed_out(request_id: str, seconds: float) -> FunctionError:
    """Return the error for a handler that was not done in time; `seconds` is the function's timeout."""
    return FunctionError(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    )


def exited(request_id: str, status: int) -> FunctionError:
    """Return the error for a runtime that ended meanwhile; a negative `status` is the signal that ended it."""
    return FunctionError("Runtime.ExitError", f"RequestId: {request_id} Error: {how_it_ended(status)}")


def how_it_ended(status: int) -> str:
    """Return Lambda's words for the end of a runtime's process."""
    if status == 0:
        return "Runtime exited without providing a reason"
    if status > 0:
        return f"Runtime exited with error: exit status {status}"
    return f"Runtime exited with error: signal: {_SIGNALS.get(signal.Signals(-status), f'signal {-status}')}"


def too_large() -> FunctionError:
    """Return the error for a response of more than `LARGEST_RESPONSE` bytes."""
    return FunctionError(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes).",
    )
