"""What an app's program is told, and what it must not be: the contract of `stagedoor/synth/program.py`.

The runner gives each step of a workflow files by which it sets variables and outputs of later steps, and some jobs
tokens. Neither is handed on to the app's program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from action.app_folder import AppFolder
from action.workflow import is_lasting, parameter_folder

CLI_VERSION = "2.1148.1"
SCHEMA_VERSION = "55.0.0"
CONTEXT_LIMIT = 100_000
OVERFLOW = "CONTEXT_OVERFLOW_LOCATION_ENV"

_KEPT = frozenset(
    {"GITHUB_ACTIONS", "GITHUB_SHA", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_HEAD_REF", "GITHUB_BASE_REF"}
)
"""Of what GitHub sets, what says which commit this is; programs put that into tags and descriptions."""

_OURS = ("INPUT_", "ACTIONS_", "GITHUB_", "RUNNER_", "STAGEDOOR_")
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "GH_TOKEN",
            "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN")  # fmt: skip


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of the job's environment a program has: all that its author set, and nothing of the runner's own."""
    return {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not (name.startswith(_OURS) or name in _SECRETS)
    }


def context_of(app: AppFolder, stage: str) -> dict[str, Any]:
    """Return the context that the app sees: its own, what the CDK CLI adds, and the stage."""
    return {
        **app.context,
        "aws:cdk:enable-path-metadata": True,
        "aws:cdk:enable-asset-metadata": True,
        "aws:cdk:version-reporting": False,
        "aws:cdk:disable-version-reporting": True,
        "aws:cdk:bundling-stacks": ["**"],
        "@aws-cdk/core:failSynthOnValidationErrors": False,
        "stagedoor:stage": stage,
    }


def split_context(context: Mapping[str, Any], limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a context fits in `limit` bytes, in its order, and the rest."""
    small: dict[str, Any] = {}
    large: dict[str, Any] = {}
    used = 2
    for key, value in context.items():
        size = len(json.dumps({key: value}).encode())
        fits = used + size <= limit
        (small if fits else large)[key] = value
        used += size if fits else 0
    return small, large


def variables(app: AppFolder, stage: str, repository: str, output: Path, scratch: Path) -> dict[str, str]:
    """Return what the CDK CLI sets for an app, and the stage. What is too large for a variable is put into `scratch`.

    `repository` is how the service calls it: host and id. Account and region are not known here: a workflow may set
    `CDK_DEFAULT_ACCOUNT` and `CDK_DEFAULT_REGION`, which are no secrets. Without `CDK_VALIDATION` and
    `STAGEDOOR_BUNDLING`, templates are validated and bundles made by the program, as under `cdk synth`.
    """
    small, large = split_context(context_of(app, stage), CONTEXT_LIMIT)
    told = {
        "CDK_CONTEXT_JSON": json.dumps(small),
        "CDK_OUTDIR": str(output),
        "CDK_CLI_ASM_VERSION": SCHEMA_VERSION,
        "CDK_CLI_VERSION": CLI_VERSION,
        "STAGEDOOR_STAGE": stage,
        "STAGEDOOR_PARAMETERS": parameter_folder(app.name, repository),
        "STAGEDOOR_LASTING": "1" if is_lasting(stage) else "",
        "STAGEDOOR_APP_FOLDER": app.path.relative_to(app.root).as_posix(),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
    }
    if large:
        file = scratch / "context-overflow.json"
        file.write_text(json.dumps(large), encoding="utf-8")
        told[OVERFLOW] = str(file)
    return told
