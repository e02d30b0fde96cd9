"""The bridge as a zip: a layer to publish beside live functions, or, for an emulator, code to put in their place."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

WRAPPER = "/opt/stagedoor/bridge"
"""What `AWS_LAMBDA_EXEC_WRAPPER` has to say in a function with the layer (a layer is unpacked under /opt)."""

FOLDER = Path(__file__).parent / "bridge"
"""The bridge's source, as it is copied."""

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_PACKAGES = ("stagedoor", "stagedoor/live")

_BOOTSTRAP = """\
#!/bin/sh
# The bridge as a `provided` function's whole code: there is no deployed code behind it.
here=${0%/*}
exec python3 -I -S "$here/stagedoor/python"
"""


def layer_zip() -> bytes:
    """Return the layer's content: the same bytes from the same source, so that it is published once."""
    return _zipped(_files())


def emulator_zip() -> bytes:
    """Return the bridge as the code of a `provided.al2023` function, which needs a `python3` on its path.

    For emulators that ignore `AWS_LAMBDA_EXEC_WRAPPER`, in tests and the demo. There the deployed code cannot answer:
    where nobody is connected, an invocation ends with the error `Stagedoor.NobodyConnected`.
    """
    return _zipped([("bootstrap", _BOOTSTRAP.encode()), *_files()])


def _files() -> Iterator[tuple[str, bytes]]:
    """Yield what a layer holds: the wrapper, a folder that Python runs, with the bridge's package in it, and Node's."""
    yield "stagedoor/bridge", (FOLDER / "bridge").read_bytes()
    yield "stagedoor/python/__main__.py", (FOLDER / "__main__.py").read_bytes()
    for package in _PACKAGES:
        yield f"stagedoor/python/{package}/__init__.py", b""
    for source in sorted(FOLDER.glob("*.py")):
        if source.name != "__main__.py":
            yield f"stagedoor/python/stagedoor/live/bridge/{source.name}", source.read_bytes()
    for source in sorted(FOLDER.glob("*.mjs")):
        yield f"stagedoor/node/{source.name}", source.read_bytes()


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, _LONG_AGO)
            entry.create_system = 3  # Unix, whose permissions follow
            executable = name in {"bootstrap", "stagedoor/bridge"}
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()
