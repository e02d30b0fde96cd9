"""The real command as a process, and apps for it that take no time to synthesise."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stagedoor.cli.app_folder import find_app
from stagedoor.cli.stage import stage_identity
from stagedoor.synth.confinement import KEPT_FOR_REGISTRIES

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".stagedoor" / "cache"
"""Kept between test runs, as a person's cache is between commands."""

TINY = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
environment = f"aws://{os.environ['CDK_DEFAULT_ACCOUNT']}/{os.environ['CDK_DEFAULT_REGION']}"
word = {"Type": "AWS::SSM::Parameter", "Metadata": {"aws:cdk:path": "Tiny/Word/Resource"},
        "Properties": {"Type": "String", "Value": pathlib.Path("word").read_text()}}
print("the word is", pathlib.Path("word").read_text(), flush=True)
template = {"Resources": {"Word": word}, "Outputs": {"Name": {"Value": {"Ref": "Word"}}}}
(out / "Tiny.template.json").write_text(json.dumps(template))
stack = {"type": "aws:cloudformation:stack", "environment": environment,
         "properties": {"templateFile": "Tiny.template.json"}}
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": {"Tiny": stack}}))
"""
"""A CDK app without the CDK: it writes its assembly by hand."""


def tiny_app(folder: Path, word: str = "hello") -> Path:
    folder.mkdir(parents=True)
    (folder / "cdk.json").write_text('{"app": "python3 app.py"}')
    (folder / "app.py").write_text(TINY)
    (folder / "word").write_text(word)
    return folder


@dataclass(frozen=True)
class Command:
    """`stagedoor` in a folder, with nothing of this process's environment but what a shell has."""

    folder: Path
    environment: dict[str, str]

    def start(self, *words: str, **more: Any) -> subprocess.Popen[str]:
        names = ("PATH", "HOME", "LANG", *KEPT_FOR_REGISTRIES)
        shell = {name: os.environ[name] for name in names if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "stagedoor.cli", *words],
            cwd=self.folder,
            env={**shell, "PYTHONPATH": str(ROOT), "STAGEDOOR_CACHE_DIR": str(CACHE), **self.environment},
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                **more,
            },
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=180)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def result(self, *words: str) -> dict[str, Any]:
        """Run it with `--json` and return the last line."""
        lines = self(*words, "--json").stdout.splitlines()
        result: dict[str, Any] = json.loads(lines[-1])
        assert result["event"] == "result"
        return result

    def at(self, folder: Path, **environment: str) -> "Command":
        return replace(self, folder=folder, environment={**self.environment, **environment})


def stack_name(stagedoor: Command) -> str:
    """Return the name of the tiny app's stack in the stage dev."""
    return stage_identity(find_app(stagedoor.folder), "dev").stack_name("Tiny")
