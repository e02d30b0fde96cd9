"""Bytecode of a function's own modules, so that a cold start compiles none.

Each says the hash of its source, which Python compares when it imports (PEP 552): whoever changes a file in the
function gets what the file says. It is marshalled in version 2, which has no references between objects: those depend
on what else a process has loaded, and equal sources are to give equal bytes.
"""

import marshal
import sys
from collections.abc import Mapping
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path, PurePosixPath

_CHECKED = (0b11).to_bytes(4, "little")
_TASK = "/var/task"
_MOST = 2 * 1024**2
"""Bytes of sources that are compiled: an app's program takes longer by a millisecond for some ten thousand."""


def magic_of(runtime: str) -> str:
    """Return what tells Python's bytecode apart, if that of a function (`python3.12`) is that of this program's."""
    ours = runtime == f"python{sys.version_info.major}.{sys.version_info.minor}"
    return MAGIC_NUMBER.hex() if ours and sys.implementation.name == "cpython" else ""


def bytecode_of(files: Mapping[str, Path | bytes]) -> dict[str, bytes]:
    """Return the bytecode of a bundle's modules, by the files' names; what does not compile has none."""
    sources = {name: data if isinstance(data, bytes) else data.read_bytes() for name, data in files.items()}
    modules = {PurePosixPath(name): data for name, data in sources.items() if name.endswith(".py")}
    if sum(map(len, modules.values())) > _MOST:
        return {}
    found = {}
    for file, data in modules.items():
        try:
            code = marshal.dumps(compile(data, f"{_TASK}/{file}", "exec", dont_inherit=True, optimize=0), 2)
        except (SyntaxError, ValueError):
            continue
        name = file.parent / "__pycache__" / f"{file.stem}.{sys.implementation.cache_tag}.pyc"
        found[name.as_posix()] = MAGIC_NUMBER + _CHECKED + source_hash(data) + code
    return found
