"""What lies above a repository and is read from inside of it."""

from pathlib import Path


def settings_above(folder: Path) -> tuple[Path, ...]:
    """Return the files above `folder` that tools look for on their way up; one that they cannot read stops them."""
    names = ("pyproject.toml", "package.json", "tsconfig.json")
    return tuple(file for above in folder.parents for name in names if (file := above / name).is_file())
