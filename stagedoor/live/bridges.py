"""The bridges of a stage, as the rewriting of its templates is told of them."""

import os
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from stagedoor.assembly.bridging.model import Bridges
from stagedoor.live.bridge_layer import WRAPPER, emulator_zip, layer_zip

_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


def bridges_for(server: str, stage: str, functions: Iterable[str] = ("*",)) -> Bridges:
    """Return the bridges of the stage with this key, which find the relay at `server`, in the functions that the shell
    patterns name. Where AWS is on this machine they take the place of the functions' code.
    """
    emulator = emulator_endpoint(os.environ)
    archive = emulator_zip() if emulator else layer_zip()
    return Bridges(server, stage, archive, WRAPPER, tuple(functions), emulator)


def emulator_endpoint(environment: Mapping[str, str]) -> str:
    """Return the URL of the AWS on this machine that the environment names; empty where it is the real one."""
    endpoint = environment.get("AWS_ENDPOINT_URL", "")
    try:
        return endpoint if urlsplit(endpoint).hostname in _HERE else ""
    except ValueError:
        return ""
