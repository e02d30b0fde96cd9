"""A real CDK app's assembly, and a way to write small ones by hand."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.naming import StageIdentity, stack_prefix
from stagedoor.target import Target

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".stagedoor" / "cdk-tests"
CDK = "aws-cdk-lib==2.275.0"
APP = Path(__file__).with_name("cdk_app.py")
TARGET = Target("laptop", "123456789012", "us-east-1", qualifier="previews")


def identity(stage: str, *, disposable: bool = True) -> StageIdentity:
    return StageIdentity("notes", stage, stack_prefix("notes", stage, "42"), "42", "service-1", disposable)


def only(assembly: Assembly, *stack_ids: str) -> Assembly:
    """The assembly with these stacks alone."""
    return replace(assembly, stacks=tuple(stack for stack in assembly.stacks if stack.id in stack_ids))


def without(assembly: Assembly, *stack_ids: str) -> Assembly:
    return replace(assembly, stacks=tuple(stack for stack in assembly.stacks if stack.id not in stack_ids))


def template_of(assembly: Assembly, stack_id: str) -> dict[str, Any]:
    template: dict[str, Any] = json.loads(assembly.stack(stack_id).template_path.read_text())
    return template


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One test process at a time installs and synthesises; the others find what it made."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cdk_python() -> Path:
    """The interpreter that has aws-cdk-lib."""
    return python_with(CDK)


def python_with(package: str) -> Path:
    """An interpreter that has a package and what it needs; installed by the first who wants it."""
    environment = CACHE / package.replace("==", "-")
    python = environment / "bin" / "python"
    with _alone("install"):
        if not (environment / ".made").exists():
            installed = ROOT / ".stagedoor" / "uv" / "bin" / "uv"
            uv = str(installed) if installed.exists() else shutil.which("uv") or pytest.fail("uv is not installed")
            subprocess.run([uv, "venv", "--quiet", "--clear", str(environment)], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), package], check=True)
            (environment / ".made").touch()
    return python


@pytest.fixture(scope="session")
def cdk_out() -> Path:
    """The assembly that the app in `cdk_app.py` writes."""
    return synthesised(APP)


def synthesised(app: Path) -> Path:
    """The assembly that a real app writes; made anew when the app or CDK's version changes."""
    python = cdk_python()
    output = CACHE / hashlib.sha256(app.read_bytes() + CDK.encode()).hexdigest()[:16]
    with _alone("synth"):
        if not (output / "manifest.json").exists():
            making = output.with_suffix(".part")
            shutil.rmtree(making, ignore_errors=True)
            environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp")}
            environment |= {"CDK_OUTDIR": str(making), "CDK_VALIDATION": "false"}
            subprocess.run([python, app], check=True, env=environment, stderr=subprocess.DEVNULL)
            making.rename(output)
    return output


@pytest.fixture(scope="session")
def app(cdk_out: Path) -> Assembly:
    return read_assembly(cdk_out)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a small assembly: templates by stack name, files by path, and what its asset manifest lists."""

    def write_assembly(
        templates: dict[str, Any] | None = None,
        *,
        files: dict[str, Any] | None = None,
        images: dict[str, Any] | None = None,
        artifacts: dict[str, Any] | None = None,
        version: str = "55.0.0",
        missing: list[dict[str, Any]] | None = None,
        environment: str = "aws://unknown-account/unknown-region",
        properties: dict[str, Any] | None = None,
    ) -> Path:
        directory = tmp_path / "cdk.out"
        directory.mkdir()
        listed: dict[str, Any] = {"Assets": {"type": "cdk:asset-manifest", "properties": {"file": "Assets.json"}}}
        for name, template in (templates if templates is not None else {"Only": {"Resources": {}}}).items():
            (directory / f"{name}.template.json").write_text(json.dumps(template))
            listed[name] = {
                "type": "aws:cloudformation:stack",
                "environment": environment,
                "properties": {"templateFile": f"{name}.template.json", **(properties or {})},
                "dependencies": ["Assets"],
            }
        assets = {"version": version, "files": files or {}, "dockerImages": images or {}}
        (directory / "Assets.json").write_text(json.dumps(assets))
        manifest = {"version": version, "artifacts": {**listed, **(artifacts or {})}, "missing": missing or []}
        (directory / "manifest.json").write_text(json.dumps(manifest))
        return directory

    return write_assembly


def file_asset(path: str, *, key: str = "abc.zip", packaging: str = "zip", bucket: str = "assets") -> dict[str, Any]:
    destination = {"bucketName": bucket, "objectKey": key}
    return {"source": {"path": path, "packaging": packaging}, "destinations": {"here": destination}}
