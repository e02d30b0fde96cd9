"""Deploys again and again, as background load: examples/notes with its code changed each time, on a local AWS.

The deploys have a worker's priority; the local AWS, which would be another machine, has the usual one.
Goes on until it is told to stop (SIGTERM); ends with the exit code of the first deploy that fails.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from demo.aws.server import LocalAws
from service.worker.processes import NICENESS

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".stagedoor" / "cache"


def stagedoor(arguments: list[str], app: Path, environment: dict[str, str]) -> None:
    """Run a command of the CLI in the app's folder, giving way as a worker does; a failure ends this program."""
    command = ["nice", f"-n{NICENESS}", sys.executable, "-m", "stagedoor.cli", *arguments]
    done = subprocess.run(command, cwd=app, env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="stagedoor-deploying-") as folder, LocalAws(Path(folder) / "aws") as aws:
        app = Path(folder) / "notes"
        shutil.copytree(ROOT / "examples" / "notes", app)
        environment = {**os.environ, **aws.environment(), "STAGEDOOR_CACHE_DIR": str(CACHE)}
        stagedoor(["bootstrap"], app, environment)
        handler = app / "functions" / "notes" / "handler.py"
        deploys = 0
        while True:
            deploys += 1
            with handler.open("a") as code:
                code.write(f"# change {deploys}\n")
            stagedoor(["deploy", "--stage", "bench"], app, environment)
            print(f"deploy {deploys} done", flush=True)


if __name__ == "__main__":
    main()
