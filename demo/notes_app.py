"""The sample app's changes: what the pull request's author pushes."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notes"
HANDLER = "functions/notes/handler.py"
PROGRAM = "app.py"
SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
"""Of a GitHub token's shape, and nobody's: the broken app prints it, and the service must not repeat it."""


def handler(version: str) -> dict[str, str]:
    """Return the change that makes the function call itself `version`."""
    return {HANDLER: _replaced(HANDLER, 'VERSION = "notes 1"', f'VERSION = "{version}"')}


def slow_program(seconds: int) -> dict[str, str]:
    """Return the change with which the app's own program begins by doing nothing for so long."""
    return {PROGRAM: _replaced(PROGRAM, "import aws_cdk", f"import time\n\ntime.sleep({seconds})\nimport aws_cdk")}


def broken_program() -> dict[str, str]:
    """Return the change with which the app's own program raises, and prints a secret while it does."""
    raises = f'raise LookupError("no such notebook, token={SECRET}")'
    return {PROGRAM: _replaced(PROGRAM, "app.synth()", raises)}


def whole_program() -> dict[str, str]:
    """Return the change that makes the app's program again what it was."""
    return {PROGRAM: (FOLDER / PROGRAM).read_text()}


def _replaced(path: str, old: str, new: str) -> str:
    text = (FOLDER / path).read_text()
    if old not in text:
        raise ValueError(f"examples/notes/{path} has no {old!r} any more")
    return text.replace(old, new)
