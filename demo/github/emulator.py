"""The npm package `emulate`: a stateful emulator of a part of GitHub's REST API, as a process of its own."""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any, Self

HERE = Path(__file__).parent
_PROGRAM = HERE / "node_modules" / "emulate" / "dist" / "index.js"


class Emulator:
    """One emulator, seeded and running between `__enter__` and `__exit__`.

    `seed` is the emulator's own configuration (see "Seed config" in its README); `base_url` is what its answers' links
    begin with. `port` is where it listens, on loopback only.
    """

    def __init__(self, seed: Mapping[str, Any], base_url: str) -> None:
        self._seed = seed
        self._base_url = base_url
        self.process: subprocess.Popen[str] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as seed:
            json.dump(self._seed, seed)
            seed.flush()
            self.process = subprocess.Popen(
                [
                    *("node", "--import", (HERE / "loopback.mjs").as_uri(), str(_PROGRAM), "start"),
                    *("--service", "github", "--seed", seed.name, "--base-url", self._base_url),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self.port = self._read_port(self.process)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(10)

    @staticmethod
    def _read_port(process: subprocess.Popen[str]) -> int:
        said: list[str] = []
        output = process.stdout
        if output is None:
            raise RuntimeError("the emulator has no output")
        for line in output:
            said.append(line)
            if found := re.match(r"listening on (\d+)", line):
                # Nobody reads what it prints later, and a full pipe would stop it.
                Thread(target=lambda: [None for _ in output], daemon=True).start()
                return int(found[1])
        raise RuntimeError(f"the GitHub emulator did not start:\n{''.join(said)}")
