"""`stagedoor types`: what code can be bound to, for type checkers; real ones read it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stagedoor.cli.bound_app import bound_app
from tests.stagedoor.cli.command import ROOT, Command

HANDLER = """
from stagedoor.runtime import Secret, Table

def handle(event: dict[str, str], context: object) -> None:
    print(Table.Notes.table_name.upper(), Secret.StripeKey.value.upper())
"""
PYRIGHT = ROOT / "tests" / "node" / "node_modules" / "pyright" / "index.js"


@pytest.fixture
def nobody(tmp_path: Path) -> Command:
    """The command in the folder of an app that has something to bind, without credentials."""
    return Command(bound_app(tmp_path / "tiny"), {"AWS_EC2_METADATA_DISABLED": "true"})


def test_written_once_and_checked_without_credentials(nobody: Command):
    stale = nobody("types", "--check")
    assert stale.returncode == 1
    assert "stagedoor_resources.pyi is not what the app's program says now.\nRun `stagedoor types`." in stale.stderr
    first = nobody.result("types")
    stub = nobody.folder / "stagedoor_resources.pyi"
    assert (first["files"], first["changed"], first["resources"]) == ([str(stub)], True, 2)
    assert "class _Table_Notes:\n    @property\n    def table_name(self) -> str: ...\n" in stub.read_text()
    written = stub.stat().st_mtime_ns
    again = nobody("types", "--check", "--json")
    assert again.returncode == 0
    assert '"hit"' in again.stdout  # the file is no part of the tree that decides the assembly
    assert stub.stat().st_mtime_ns == written
    assert nobody.result("types", "--typescript", "--out", "web")["changed"]
    declared = (nobody.folder / "web" / "stagedoor-resources.d.ts").read_text()
    assert "readonly Notes: { readonly tableName: string };" in declared


def test_a_wrong_name_fails_and_without_types_all_is_well(nobody: Command):
    (nobody.folder / "functions").mkdir()
    (nobody.folder / "functions" / "right.py").write_text(HANDLER)
    (nobody.folder / "functions" / "wrong.py").write_text(
        HANDLER.replace("Notes", "Note").replace("StripeKey.value", "StripeKey.valu")
    )
    assert mypy(nobody.folder) == []
    assert pyright(nobody.folder) == []
    nobody("types")
    assert mypy(nobody.folder) == [
        'functions/wrong.py:5: error: "_Table" has no attribute "Note"; maybe "Notes"?  [attr-defined]',
        'functions/wrong.py:5: error: "_Secret_StripeKey" has no attribute "valu"; maybe "value"?  [attr-defined]',
    ]
    wrong = pyright(nobody.folder)
    assert [line.partition(" - ")[2] for line in wrong] == [
        'error: Cannot access attribute "Note" for class "_Table"',
        'error: Cannot access attribute "valu" for class "_Secret_StripeKey"',
    ]


def mypy(folder: Path) -> list[str]:
    """Return the errors that mypy finds when it is strict."""
    words = ["-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", "../mypy", "functions"]
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def pyright(folder: Path) -> list[str]:
    """Return the errors that pyright finds, their first lines."""
    words = [str(PYRIGHT), "--pythonpath", sys.executable, "functions"]
    done = subprocess.run(["node", *words], cwd=folder, capture_output=True, text=True, check=False)
    return [line.strip() for line in done.stdout.splitlines() if " - " in line]
