"""An app's repository, and its functions' bundles as they are made when Stagedoor runs the app's program."""

import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from stagedoor.bundling.bundle import bundle_for
from stagedoor.bundling.options import NodeOptions, PythonOptions
from stagedoor.bundling.source import find_source
from stagedoor.events import Event
from stagedoor.synth.completion import complete_bundles
from stagedoor.synth.executor import LocalProcessExecutor


@dataclass
class Project:
    """A repository with an app at its root. What it is told comes to `events`."""

    root: Path
    cache: Path
    assembly: Path
    events: list[Event] = field(default_factory=list)

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def bundled(
        self,
        handler: str,
        runtime: str = "python3.11",
        architecture: str = "x86_64",
        *,
        node: NodeOptions | None = None,
        python: PythonOptions | None = None,
    ) -> Path:
        """Bundle a function as its construct does, and return the asset's folder; it may be incomplete."""
        source = find_source(handler, self.root)
        bundle = bundle_for(
            source, runtime=runtime, architecture=architecture, with_runtime=False, node=node, python=python
        )
        asset = self.assembly / f"asset.{bundle.digest}"
        shutil.copytree(bundle.folder, asset, dirs_exist_ok=True)
        return asset

    def complete(self) -> list[str]:
        """Complete all bundles, as is done when the program has ended; return what was installed or found installed."""
        self.events.clear()
        complete_bundles(self.assembly, self.root, self.cache, LocalProcessExecutor(), self.events.append)
        return [event.status for event in self.events if event.status in ("done", "hit")]


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def wheel(folder: Path, name: str, module: str) -> Path:
    """Write a wheel of one module."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", module)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file
