"""VS Code's launch configuration for debugged functions: `.vscode/launch.json`, merged with what is there.

The file may have comments, which rewriting would lose: such a file is left as it is, and what to add is given back.
Source of the format: https://code.visualstudio.com/docs/debugtest/debugging-configuration
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PREFIX = "stagedoor: "
"""How our configurations' names begin; those with such a name are ours to replace."""


def configurations(
    ports: Mapping[str, int], runtimes: Mapping[str, str], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return one configuration for each debugged function; `names` are what people call them."""
    made: list[dict[str, Any]] = []
    for function, port in sorted(ports.items()):
        made.append({"name": _PREFIX + names.get(function, function), "request": "attach"})
        if runtimes[function].startswith("python"):
            made[-1] |= {"type": "debugpy", "connect": {"host": "127.0.0.1", "port": port}, "justMyCode": True}
        else:
            made[-1] |= {"type": "node", "address": "127.0.0.1", "port": port, "restart": True, "sourceMaps": True}
    return made


def merged(text: str | None, wanted: list[dict[str, Any]]) -> str | None:
    """Return the file's new text; None where the present `text` is not plain JSON, and must not be written over."""
    try:
        document = json.loads(text) if text and text.strip() else {"version": "0.2.0"}
    except ValueError:
        return None
    there = document.get("configurations", []) if isinstance(document, dict) else None
    if not isinstance(there, list):
        return None
    names = {each["name"] for each in wanted}
    kept = [each for each in there if not (isinstance(each, dict) and each.get("name") in names)]
    return json.dumps({**document, "configurations": [*kept, *wanted]}, indent=2, ensure_ascii=False) + "\n"


def write_launch(folder: Path, wanted: list[dict[str, Any]]) -> str | None:
    """Write the configurations into the folder's `.vscode/launch.json`.

    Return None when that was done; where the file cannot be rewritten safely, what its owner is to add to it.
    """
    file = folder / ".vscode" / "launch.json"
    text = merged(file.read_text() if file.is_file() else None, wanted)
    if text is None:
        return json.dumps(wanted, indent=2, ensure_ascii=False)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return None
