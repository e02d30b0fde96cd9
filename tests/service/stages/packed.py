"""The tiny app's assembly as a workflow's artifact: one zip, and whatever a stranger would put into it."""

import io
import json
import stat
import zipfile
from collections.abc import Mapping
from typing import Any

from service.stages.artifact import LETTER
from tests.service.stages import tiny_app


def artifact(word: str = "one", files: Mapping[str, str | bytes] | None = None, **letter: Any) -> bytes:
    """Return the artifact; `files` are added to the assembly, or take the place of what is in it."""
    said = {"version": 1, "app": "tiny", "commit": "0" * 40, **letter}
    own = {name: text for name, text in tiny_app.files(word).items() if name.endswith(".json") and name != "cdk.json"}
    return zipped({**own, LETTER: json.dumps(said), **(files or {})})


def zipped(files: Mapping[str, str | bytes], links: Mapping[str, str] | None = None) -> bytes:
    """Return a zip of files and links, under the very names that are given."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return written.getvalue()
