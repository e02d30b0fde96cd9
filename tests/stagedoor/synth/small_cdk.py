"""A stand-in for an installed CDK, which loads in no time: for tests of the processes that load it."""

import subprocess
import sys
from pathlib import Path

from stagedoor.synth.dependencies import Environment

CDK = """
import colorsys, os, pathlib

class App:
    def __init__(self, outdir=None, **_more):
        self.outdir = pathlib.Path(outdir or os.environ["CDK_OUTDIR"])
    def synth(self):
        self.outdir.mkdir(exist_ok=True)
        (self.outdir / "manifest.json").write_text('{"version": "48.0.0"}')

def Stack(*_anything):
    pass
"""


def installed(folder: Path, library: str = CDK, python: str = sys.executable) -> Environment:
    """Make an environment in a folder of its own, as `install` would."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    package = next((folder / "venv").glob("lib/python*/site-packages")) / "aws_cdk"
    package.mkdir()
    (package / "__init__.py").write_text(library)
    (folder / "jsii" / "aws-cdk-lib").mkdir(parents=True)
    return Environment((folder / "venv" / "bin",), readable=(folder,), made=(folder,))
