"""Make an assembly fit to travel: nothing in it leads out of it, and what a zip of GitHub's loses is written down.

`actions/upload-artifact` follows links and keeps no modes. So files that can be run are listed in
`stagedoor-artifact.json`, and a link that leads out is refused before its target is taken for a part of the app.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from action.refusal import Refused

NOTE = "stagedoor-artifact.json"
VERSION = 1
_LINE_ENDS = "\r\n"
_NOT_TAKEN = frozenset('":<>|*?' + _LINE_ENDS)
"""Source: `path-and-artifact-name-validation.ts` in https://github.com/actions/toolkit/tree/main/packages/artifact."""

_NO_TEXT = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as Python has them; Node, which uploads, finds no such file any more and leaves it out."""


def make_fit(assembly: Path, app: str, commit: str, stage: str) -> None:
    """Put assets that lie elsewhere into the assembly, and write the note. Raises `Refused`."""
    assembly = assembly.resolve()
    for folder in _assemblies(assembly):
        _refuse_missing(folder)
        for manifest in sorted(folder.glob("*.assets.json")):
            _bring_in(manifest, folder, assembly)
    executables = list(_executables(assembly))
    note = {"version": VERSION, "app": app, "commit": commit, "stage": stage, "executables": executables}
    (assembly / NOTE).unlink(missing_ok=True)
    (assembly / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


def _assemblies(assembly: Path) -> Iterator[Path]:
    """Yield the assembly and those inside of it (of CDK's `Stage`)."""
    yield assembly
    for folder in sorted(assembly.glob("assembly-*")):
        if folder.is_dir() and not folder.is_symlink():
            yield from _assemblies(folder)


def _refuse_missing(folder: Path) -> None:
    missing = _read(folder / "manifest.json").get("missing") or []
    asked = [one for one in missing if isinstance(one, Mapping)]
    if not asked:
        return
    keys = "\n".join(f"{one.get('provider')}: {one.get('key')}" for one in asked)
    providers = ", ".join(sorted({str(one.get("provider")) for one in asked}))
    raise Refused(
        "context-missing",
        f"The app asks for facts about its account ({providers}), and this job has no way into one.",
        "Commit the answers as cdk.context.json, which `cdk synth` writes where there are credentials; or let the "
        "service synthesise: it looks them up.",
        detail=keys,
    )


def _bring_in(file: Path, folder: Path, assembly: Path) -> None:
    """Copy what a manifest of assets names outside of the assembly, and have it named inside."""
    manifest = _read(file)
    changed = False
    for kind in ("files", "dockerImages"):
        assets = manifest.get(kind)
        for name, asset in assets.items() if isinstance(assets, dict) else ():
            source = asset.get("source") if isinstance(asset, dict) else None
            key = "path" if kind == "files" else "directory"
            if not isinstance(source, dict) or not isinstance(source.get(key), str):
                continue
            found = Path(os.path.normpath(folder / source[key]))
            if assembly == found or assembly in found.parents:
                continue
            inside = folder / f"asset.brought-{_plain(name)}"
            _copy(found, inside)
            source[key] = inside.name
            changed = True
    if changed:
        file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _copy(found: Path, inside: Path) -> None:
    if inside.exists():
        return
    try:
        if found.is_dir():
            shutil.copytree(found, inside, symlinks=True)
        else:
            shutil.copy2(found, inside)
    except (OSError, shutil.Error) as trouble:
        raise Refused(
            "asset-not-found",
            f"The asset {found} cannot be copied into the assembly: {type(trouble).__name__}.",
            "See that the program makes it before the synth ends.",
        ) from None


def _executables(assembly: Path) -> Iterator[str]:
    """Yield the files that can be run. Raises `Refused` for what is neither file nor folder, or leads out."""
    for base, folders, files in os.walk(assembly):
        for name in sorted((*folders, *files)):
            path = Path(base, name)
            at = path.relative_to(assembly).as_posix()
            if _NOT_TAKEN & set(name) or _NO_TEXT.search(name):
                raise Refused(
                    "file-name-cannot-travel",
                    f"{at!a} of the assembly has a character in its name that GitHub's artifacts do not take.",
                    f"They take UTF-8 without line breaks and {' '.join(sorted(_NOT_TAKEN - set(_LINE_ENDS)))}.",
                )
            if path.is_symlink():
                _check_link(path, at, assembly)
            if not path.is_file() and not path.is_dir():
                raise Refused(
                    "special-file",
                    f"{at} of the assembly is neither a file nor a folder.",
                    "Leave it out of the asset.",
                )
            if path.is_file() and path.stat().st_mode & 0o111:
                yield at


def _check_link(path: Path, at: str, assembly: Path) -> None:
    target = path.resolve()
    if assembly not in target.parents or not target.exists() or target in path.parents:
        raise Refused(
            "link-leads-out",
            f"{at} of the assembly is a link to {os.readlink(path)}, which is not in the assembly.",
            "Let the asset hold the file itself: `follow_symlinks=SymlinkFollowMode.EXTERNAL`, CDK's default.",
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(name: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in name)[:64]
