"""A function with a bridge in its place, of each language, with AWS's own runtime client behind it."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from stagedoor.live.bridge_layer import WRAPPER, layer_zip
from tests.stagedoor.assembly.conftest import python_with
from tests.stagedoor.live.bridge.relay import ScriptedRelay
from tests.stagedoor.live.bridge.sandbox import Sandbox

# Only `make live-rie` brings AWS's emulator, which has to be built.
collect_ignore = [] if "AWS_LAMBDA_RIE" in os.environ else ["test_rie.py"]

HANDLERS = Path(__file__).with_name("handlers")
LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "notes",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/notes",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0",
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret/of+the=function",
    "AWS_SESSION_TOKEN": "token+/==",
    "LANG": "en_US.UTF-8",
    "TABLE": "notes-table",
}
"""What Lambda and the function's configuration put into its environment."""


@pytest.fixture(scope="session")
def awslambdaric() -> Path:
    """An interpreter with AWS's runtime interface client, as Lambda's own Python runtimes are."""
    return python_with("awslambdaric")


@pytest.fixture(scope="session")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, unpacked as Lambda does under /opt."""
    folder = tmp_path_factory.mktemp("opt")
    with zipfile.ZipFile(io.BytesIO(layer_zip())) as archive:
        archive.extractall(folder)
        for entry in archive.infolist():
            (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777)
    return folder


@pytest.fixture(params=["python", "node"])
def wrapper(request: pytest.FixtureRequest, layer: Path, tmp_path: Path) -> str:
    """What `AWS_LAMBDA_EXEC_WRAPPER` names, for the bridge of each language."""
    return wrapper_of(request.param, layer, tmp_path)


def wrapper_of(language: str, layer: Path, folder: Path) -> str:
    """The layer's own wrapper would choose Python's bridge for a Python runtime: both are one program, so Node's is put
    before the same runtime as well.
    """
    if language == "python":
        return str(layer / WRAPPER.removeprefix("/opt/"))
    script = folder / "node-wrapper"
    script.write_text(f'#!/bin/sh\nexec node {layer}/stagedoor/node/bridge.mjs "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    with ScriptedRelay() as scripted:
        yield scripted


@pytest.fixture
def bridged(wrapper: str, relay: ScriptedRelay, awslambdaric: Path) -> Iterator[Callable[..., Sandbox]]:
    """Make sandboxes of the handlers' functions, with a bridge: `bridged("app.echo", timeout=3, NAME="value")`."""
    with ExitStack() as stack:

        def make(handler: str, timeout: float = 3, command: list[str] | None = None, **more: Any) -> Sandbox:
            live = {
                "AWS_LAMBDA_EXEC_WRAPPER": wrapper,
                "STAGEDOOR_LIVE_SERVER": relay.url,
                "STAGEDOOR_LIVE_STAGE": "7",
                "STAGEDOOR_LIVE_TIMEOUT": str(timeout),
            }
            command = command or [str(awslambdaric), "-m", "awslambdaric", handler]
            environment = {**LAMBDA, "_HANDLER": handler, **live, **more}
            return stack.enter_context(Sandbox(command, environment, code=HANDLERS))

        yield make
