"""A proxy that holds every request against GitHub's own OpenAPI description.

The description (npm `@octokit/openapi`) has 13 MB; the proxy (npm `@stoplight/prism-cli`) gets only the paths that we
use, without their answers, and then starts in a few seconds.
"""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NODE = Path(__file__).resolve().parents[2] / "node" / "node_modules"
DESCRIPTION = NODE / "@octokit" / "openapi" / "generated" / "api.github.com.json"
PATHS = re.compile(
    r"/app/installations/\{installation_id\}/access_tokens"
    r"|/repos/\{owner\}/\{repo\}(|/("
    r"pulls(/\{pull_number\}(/files)?)?|branches/\{branch\}|contents/\{path\}|commits/\{ref\}(/check-runs)?"
    r"|issues/comments/\{comment_id\}|issues/\{issue_number\}/comments|check-runs(/\{check_run_id\})?"
    r"|actions/runs(/\{run_id\}/artifacts)?|actions/artifacts/\{artifact_id\}/\{archive_format\}"
    r"|deployments(/\{deployment_id\}(/statuses)?)?))"
)


def reduced(description: dict[str, Any]) -> dict[str, Any]:
    """Return the description with the paths that we use, and the components that these need."""
    paths = {path: item for path, item in description["paths"].items() if PATHS.fullmatch(path)}
    for item in paths.values():
        for operation in item.values():
            # The local GitHub's answers are not what is to be proven here.
            operation["responses"] = {"default": {"description": "any"}}
    kept: dict[str, Any] = {**description, "paths": paths, "components": {}, "x-webhooks": {}}
    waiting = _references(paths)
    while waiting:
        kind, name = waiting.pop()
        group = kept["components"].setdefault(kind, {})
        if name not in group:
            group[name] = description["components"][kind][name]
            waiting |= _references(group[name])
    return kept


def _references(value: object) -> set[tuple[str, str]]:
    found = re.findall(r'"#/components/([^/"]+)/([^"]+)"', json.dumps(value))
    return {(kind, name) for kind, name in found}


@contextmanager
def validating(upstream: str, folder: Path) -> Iterator[str]:
    """Run the proxy in front of `upstream` and yield its URL; its objections are in each answer's `sl-violations`."""
    document = folder / "github.json"
    description = reduced(json.loads(DESCRIPTION.read_text()))
    description["servers"] = [{"url": upstream}]
    document.write_text(json.dumps(description))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = NODE / "@stoplight" / "prism-cli" / "dist" / "index.js"
    log = (folder / "prism.log").open("w")
    process = subprocess.Popen(
        ["node", str(program), "proxy", str(document), upstream, "--host", "127.0.0.1", "--port", str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("prism did not start")
