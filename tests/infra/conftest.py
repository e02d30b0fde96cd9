"""The templates of all variants, synthesised once, with AWS's own rules (cdk-nag) watching."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks

from infra.app import add_stacks
from infra.wishes import TARGETS_FILE, Variant, Wishes
from stagedoor.constructs import App

ACCOUNT, REGION = "123456789012", "eu-central-1"
TARGETS = f"""
[targets.previews]
account = "{ACCOUNT}"
region = "{REGION}"
deploy_role = "arn:aws:iam::{ACCOUNT}:role/stages-DeployRole"
execution_role = "arn:aws:iam::{ACCOUNT}:role/stages-ExecutionRole"

[[grants]]
target = "previews"
repository = "acme/*"
"""
EXTERNAL_ID = "0123456789abcdef"
WORKER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/stagedoor-worker"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/0"
WISHES = {
    "standard": Wishes(
        Variant.STANDARD, image_tag="1.0", domain="stagedoor.example.com", certificate=CERTIFICATE, targets=TARGETS
    ),
    "single": Wishes(Variant.SINGLE, image_tag="sha256:0", targets=TARGETS),
    "target": Wishes(Variant.TARGET, principal=WORKER_ROLE, external_id=EXTERNAL_ID),
    "production": Wishes(Variant.TARGET, principal=WORKER_ROLE, external_id=EXTERNAL_ID, trust="production"),
    "workflows": Wishes(Variant.TARGET, principal="github", repositories=("acme/notes",), trust="production"),
}
Template = Mapping[str, Any]


def synthesize(wishes: Wishes, folder: Path) -> dict[str, Template]:
    """Return the templates by stack; raises when a rule of cdk-nag's is broken and nobody says why, or one of
    CloudFormation's own, as `cdk.json` asks for.
    """
    context = json.loads(TARGETS_FILE.with_name("cdk.json").read_text())["context"]
    app = App("stagedoor-service", outdir=str(folder), context=context)
    stacks = add_stacks(app, wishes)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()
    return {stack.node.id: json.loads((folder / f"{stack.node.id}.template.json").read_text()) for stack in stacks}


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Template]]]:
    """The templates of a lasting stage, by variant and stack."""
    environment = {
        "STAGEDOOR_LASTING": "1",
        "STAGEDOOR_STAGE": "prod",
    }
    with mock.patch.dict(os.environ, environment):
        yield {name: synthesize(wishes, tmp_path_factory.mktemp(name)) for name, wishes in WISHES.items()}
