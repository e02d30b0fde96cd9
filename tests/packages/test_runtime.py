"""`@stagedoor/runtime`: by Node's own test runner against the local AWS, and by the TypeScript compiler."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import boto3
import pytest

from demo.aws.server import LocalAws
from stagedoor.assembly.model import BindableResource
from stagedoor.cli.resource_types import typescript_declarations

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "tests" / "node" / "node_modules"
FOLDER = "/stagedoor/shop-1a2b3c"
RIGHT = """
import { Queue, Secret, Table } from "@stagedoor/runtime";
export const table: string = Table.Notes.tableName;
export const key: Promise<string> = Secret.StripeKey.value();
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which the package, and the AWS SDK beside it, are installed."""
    shutil.copytree(ROOT / "packages" / "runtime", tmp_path / "node_modules" / "@stagedoor" / "runtime")
    (tmp_path / "node_modules" / "@aws-sdk").symlink_to(MODULES / "@aws-sdk")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def test_in_node(project: Path, tmp_path_factory: pytest.TempPathFactory):
    shutil.copy(Path(__file__).with_name("runtime.test.mjs"), project)
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws:
        account = aws.environment("222222222222")
        ssm = boto3.client(
            "ssm", "us-east-1", endpoint_url=aws.endpoint, aws_access_key_id="222222222222", aws_secret_access_key="x"
        )
        ssm.put_parameter(Name=f"{FOLDER}/_fallback/StripeKey", Value="sk_test", Type="SecureString")
        bound = {
            "AWS_LAMBDA_FUNCTION_NAME": "shop-Create",
            "STAGEDOOR_BIND_Table_Notes": json.dumps({"table_name": "notes-1"}),
            **{f"STAGEDOOR_BIND_Secret_{name}": json.dumps(stored(name)) for name in ("StripeKey", "Missing")},
        }
        done = subprocess.run(
            ["node", "--test", "runtime.test.mjs"],
            cwd=project,
            env={"PATH": os.environ["PATH"], "AWS_REGION": "us-east-1", **account, **bound},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout
    assert "# pass 5" in done.stdout


def stored(name: str) -> dict[str, str]:
    return {"parameter_name": f"{FOLDER}/dev/{name}", "fallback_name": f"{FOLDER}/_fallback/{name}"}


def test_a_wrong_name_is_a_type_error_where_the_types_are_known(project: Path):
    (project / "right.ts").write_text(RIGHT)
    (project / "wrong.ts").write_text(RIGHT.replace("Table.Notes", "Table.Note").replace("Secret.", "Queue."))
    assert compile_types(project, "right.ts", "wrong.ts") == []
    resources = [
        BindableResource("Table", "Notes", ("table_name",)),
        BindableResource("Secret", "StripeKey", ("value",)),
    ]
    (project / "stagedoor-resources.d.ts").write_text(typescript_declarations(resources))
    assert compile_types(project, "stagedoor-resources.d.ts", "right.ts") == []
    wrong = compile_types(project, "stagedoor-resources.d.ts", "wrong.ts")
    assert ["Property 'Note' does not exist" in wrong[0], "Property 'StripeKey' does not exist" in wrong[1]] == [
        True
    ] * 2


def compile_types(project: Path, *files: str) -> list[str]:
    options = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2023"]
    done = subprocess.run(
        [MODULES / ".bin" / "tsc", *options, *files], cwd=project, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()
