"""The part of Stagedoor that goes into a Python function: `stagedoor.runtime`, and nothing else of it."""

from pathlib import Path

_RUNTIME = Path(__file__).parents[1] / "runtime"
_PACKAGE = b'"""The part of Stagedoor that is in a function: `stagedoor.runtime`."""\n'


def runtime_files() -> dict[str, bytes]:
    """Return the files, by their names from the folder that they are imported from."""
    files = {f"stagedoor/runtime/{file.name}": file.read_bytes() for file in sorted(_RUNTIME.glob("*.py"))}
    return {"stagedoor/__init__.py": _PACKAGE, **files}


def write_runtime(folder: Path) -> Path:
    """Write the files into a folder, and return it."""
    for name, content in runtime_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
