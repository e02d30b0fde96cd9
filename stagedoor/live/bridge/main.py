"""The bridge: takes the place of a function's runtime, and gives each event to whoever is there for it."""

from __future__ import annotations

import os
import signal
import sys
import time

from stagedoor.live.bridge.attempts import MARGIN_S
from stagedoor.live.bridge.identity import Settings
from stagedoor.live.bridge.log import say, stamp
from stagedoor.live.bridge.named_tuple import TYPE_CHECKING
from stagedoor.live.bridge.rapid import Gone, Invocation, Result, RuntimeApi, failure
from stagedoor.live.bridge.relay import Relay
from stagedoor.live.bridge.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping


class Bridge:
    """One sandbox's bridge."""

    def __init__(self, settings: Settings, environment: Mapping[str, str], command: list[str]) -> None:
        self.settings = settings
        self.environment = environment
        self.command = command
        self.api = RuntimeApi(settings.runtime_api)
        self.relay = Relay(settings, environment)
        self.runtime: Runtime | None = None

    def run(self) -> None:
        """Serve the sandbox for as long as it lives. Raises `Gone`."""
        signal.signal(signal.SIGTERM, self._terminated)
        snapshot = self.environment.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
        # A snapshot is taken of an initialized runtime, and no connection outlives it: nobody is asked before.
        if self.command and (snapshot or not self.relay.live()):
            self.runtime = Runtime(self.command, self.settings, self.environment, self.api)
            if not self.runtime.ready():
                _end_as(self.runtime.status)
        while True:
            invocation = self.api.next()
            result = self.relay.relayed(invocation)
            if result is None:
                self._deployed(invocation)
            else:
                self._post(invocation, result)

    def _deployed(self, invocation: Invocation) -> None:
        """Have the deployed code answer."""
        if not self.command:
            self._post(invocation, failure("Stagedoor.NobodyConnected", "Nobody is connected to this stage."))
            return
        ends = time.monotonic() + invocation.deadline_ms / 1e3 - time.time() - MARGIN_S
        if self.runtime is None or self.runtime.status is not None:
            self.runtime = Runtime(self.command, self.settings, self.environment, self.api)
            self.runtime.ready(ends, invocation)
        runtime = self.runtime
        if runtime.answer(invocation):
            return
        if not runtime.late:
            _end_as(runtime.status)  # Lambda reports how a runtime ended, in its own words
        seconds = f"Task timed out after {self.settings.timeout_s:.2f} seconds"
        sys.stdout.write(f"{stamp(time.time())} {invocation.request_id} {seconds}\n\n")  # as Lambda's own line
        sys.stdout.flush()
        self._post(invocation, failure("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {seconds}"))

    def _post(self, invocation: Invocation, result: Result) -> None:
        status = self.api.post(invocation, result)
        if status >= 300:
            say(f"Lambda took the result of {invocation.request_id} with {status}")

    def _terminated(self, number: int, _frame: object) -> None:
        """Lambda shuts the sandbox down; the runtime may have something to finish (extensions registered for it)."""
        runtime = self.runtime
        if runtime is not None and runtime.status is None:
            runtime.signal(number)
            until = time.monotonic() + 2
            while runtime.status is None and time.monotonic() < until:
                time.sleep(0.01)
        os._exit(0)


def _end_as(status: int | None) -> None:
    """End as the runtime ended, so that Lambda says of it what it would have said without us."""
    sys.stdout.flush()
    if status is not None and status < 0:
        if -status not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status or 0)


def main(command: list[str]) -> None:
    """Be the runtime of a sandbox; `command` starts the real one, and is empty where there is none."""
    environment = dict(os.environ)
    try:
        Bridge(Settings.of(environment), environment, command).run()
    except Gone as error:
        say(str(error))
        sys.exit(1)
