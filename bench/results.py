"""How a benchmark's results are written: JSON for a machine, a page for people."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Result:
    """One number. `bar` says in words what it is held to, empty when it is only told; `against` is the other side."""

    metric: str
    value: float
    unit: str
    bar: str
    ok: bool
    against: str


def write_results(name: str, title: str, results: Sequence[Result], how: str, packages: Sequence[str]) -> bool:
    """Write `results/<name>.json` and `.md`; return whether every bar was met. `how` says how it was measured."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps([asdict(result) for result in results], indent=2) + "\n")
    rows = [
        f"| {r.metric} | {r.value:g} {r.unit} | {r.bar or '—'} | {('met' if r.ok else '**missed**') if r.bar else '—'} "
        f"| {r.against} |"
        for r in results
    ]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    page = [
        f"# {title}",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {machine}; {versions}.",
        "",
        "| metric | value | bar | | against |",
        "|---|---|---|---|---|",
        *rows,
        "",
        how.strip(),
        "",
    ]
    (FOLDER / f"{name}.md").write_text("\n".join(page))
    return all(result.ok for result in results)
