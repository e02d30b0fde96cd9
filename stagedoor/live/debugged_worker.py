"""Listens for a debugger, then runs a worker's program. Arguments: port, debugpy's folder or nothing, the program.

Runs in the app's own interpreter, Python 3.9 to 3.14, on the standard library and debugpy alone.
"""

import runpy
import socket
import sys
import time

_ATTEMPTS = 100


def main() -> None:
    """Listen on loopback, for whoever comes whenever, and go on."""
    port, folder, *arguments = sys.argv[1:]
    sys.path[:1] = [folder] if folder else []
    import debugpy  # type: ignore[import-not-found, unused-ignore]

    if _free(int(port)):
        debugpy.listen(("127.0.0.1", int(port)))
    else:
        print(f"Port {port} is taken: no debugger can be attached.", file=sys.stderr)  # noqa: T201
    if folder:
        sys.path.remove(folder)
    sys.argv = arguments
    sys.path.insert(0, "")  # where a program's own folder would be; the worker's program puts the function's there
    runpy.run_path(arguments[0], run_name="__main__")


def _free(port: int) -> bool:
    """Say whether the port can be had; the worker before this one may not have let go of it yet."""
    for _ in range(_ATTEMPTS):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
                return True
            except OSError:
                time.sleep(0.02)
    return False


if __name__ == "__main__":
    main()
