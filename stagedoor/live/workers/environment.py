"""A worker's environment: the function's is from its sandbox in AWS, the person's from this machine. Pure.

What Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
"""

import os
from collections.abc import Mapping
from pathlib import PurePosixPath

from stagedoor.live.functions import LiveFunction, Sandbox

_OF_THE_MACHINE = (
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG", "LANGUAGE", "TERM", "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a program needs of this machine to run here; the sandbox's own values are of no use here."""

_NOT_HERE = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION", "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_EXEC_WRAPPER",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_LAMBDA_TELEMETRY_LOG_FD",
    "_X_AMZN_TRACE_ID", "LAMBDA_RUNTIME_DIR", "LD_PRELOAD", "NODE_PATH", "PWD", "OLDPWD", "SHLVL", "_",
}  # fmt: skip
"""What of the sandbox's would be wrong here: the credentials are served, the daemons and folders are not on this
machine, and the worker is not taken from a snapshot (SnapStart's kind of initialization).
"""

_OF_THE_BRIDGE = "STAGEDOOR_LIVE_"

_OF_ONE_SANDBOX = ("AWS_LAMBDA_LOG_STREAM_NAME",)
"""What differs between sandboxes of the same function that are otherwise alike."""

_NO_FILES = {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull, "BOTO_CONFIG": os.devnull}
"""SDKs look at the person's own credentials before they ask for the container's."""


def worker_environment(
    function: LiveFunction, sandbox: Sandbox, machine: Mapping[str, str], credentials: tuple[str, str] | None
) -> dict[str, str]:
    """Return what a worker's process gets; `credentials` are where they are served, and the token to ask with."""
    environment = {name: machine[name] for name in _OF_THE_MACHINE if name in machine}
    environment |= {name: value for name, value in machine.items() if name.startswith("LC_")}
    for name, value in sandbox.environment.items():
        if name not in _OF_THE_MACHINE and name not in _NOT_HERE and not name.startswith(_OF_THE_BRIDGE):
            environment[name] = value
    environment |= {
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.root),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.setdefault("AWS_EXECUTION_ENV", f"AWS_Lambda_{function.runtime}")
    environment.setdefault("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
    environment.setdefault("TZ", ":UTC")
    if paths := [*_translated(environment.pop("PYTHONPATH", ""), function), *map(str, function.search)]:
        environment["PYTHONPATH"] = ":".join(paths)
    if credentials:
        address, token = credentials
        environment |= {"AWS_CONTAINER_CREDENTIALS_FULL_URI": address, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}
        environment |= _NO_FILES
    return environment | dict(function.environment)


def sort_of(sandbox: Sandbox) -> tuple[tuple[str, str], ...]:
    """Return what a worker of one sandbox must have in common with another's invocation to be able to run it."""
    return tuple(
        sorted(
            (name, value)
            for name, value in sandbox.environment.items()
            if name not in _NOT_HERE and name not in _OF_ONE_SANDBOX
        )
    )


def _translated(search: str, function: LiveFunction) -> list[str]:
    """Return the folders of a `PYTHONPATH` that are the function's, where they are on this machine."""
    here: list[str] = []
    for entry in filter(None, search.split(":")):
        path = PurePosixPath(entry)
        if path.is_relative_to("/var/task"):
            here.append(str(function.root / path.relative_to("/var/task")))
        elif path.is_relative_to("/opt"):
            here += [str(layer / path.relative_to("/opt")) for layer in function.layers]
    return here
