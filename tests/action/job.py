"""A small runner: it executes the real `action.yml` as GitHub's runner would, without Docker and without GitHub.

What `run:` says is run by the very command that the runner uses. `uses:` steps of other actions are replaced by
stand-ins of their name (`stand_ins.py`). Source of the rules: https://github.com/actions/runner, `ScriptHandler.cs` and
`CompositeActionHandler.cs`.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stagedoor.synth.confinement import KEPT_FOR_REGISTRIES
from tests.action.expressions import as_text, condition, interpolate
from tests.action.runner_commands import Heard, lines_of, pairs_of

ROOT = Path(__file__).parents[2]
_OLD = [Path.home() / ".pyenv" / "versions" / "3.9.18" / "bin" / "python3", Path("/usr/bin/python3.9")]
OLD = next(filter(Path.exists, _OLD), None)
"""The oldest Python that runners have, where this machine has it, too."""

SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]
_FILES = ("OUTPUT", "ENV", "PATH", "STATE", "STEP_SUMMARY")

StandIn = Callable[["Job", Mapping[str, str]], Mapping[str, str]]


@dataclass
class Job:
    """One job on a runner. `github` is the context of that name, `event` the payload; `tokens` are the variables of the
    OIDC issuer, for a job with `id-token: write`. `env` is what the workflow itself sets.
    """

    folder: Path
    github: Mapping[str, Any]
    event: Mapping[str, Any]
    env: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, StandIn] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    _set: dict[str, str] = field(default_factory=dict)
    _path: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None
    _cancelled: bool = False
    _failed: bool = False

    def __post_init__(self) -> None:
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.temp.mkdir(exist_ok=True)
        (self.folder / "event.json").write_text(json.dumps(self.event))

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    @property
    def log(self) -> str:
        return "\n".join(self.heard.lines)

    @property
    def errors(self) -> list[str]:
        return [text for level, _, text in self.heard.annotations if level == "error"]

    def use(self, action: Path = ROOT, **given: str) -> bool:
        """Do the step `uses: <action>` with these inputs (`_` for `-`); return whether it succeeded."""
        described = yaml.safe_load((action / "action.yml").read_text())
        named = {name.replace("_", "-"): value for name, value in given.items()}
        unknown = named.keys() - described["inputs"].keys()
        assert not unknown, f"action.yml has no inputs {unknown}"
        contexts: dict[str, Any] = {"github": self.github, "inputs": {}, "steps": {}}
        for name, says in described["inputs"].items():
            default = interpolate(str(says.get("default", "")), {"github": self.github}, {})
            contexts["inputs"][name] = named.get(name, default)
        self._failed = False
        for step in described["runs"]["steps"]:
            self._step(step, contexts, action)
        outputs = described["outputs"].items()
        self.outputs = {name: interpolate(says["value"], contexts, {}) for name, says in outputs}
        return not self._failed and not self._cancelled

    def prepend_path(self, folder: Path) -> None:
        """Have programs found there first, as actions such as setup-python do for later steps."""
        self._path.append(str(folder))

    def cancel(self, *, patience: float = 7.5) -> None:
        """Cancel the job as the runner does: SIGINT, SIGTERM after 7.5 s, the end of the whole tree 2.5 s later."""
        self._cancelled = True
        process = self._process
        assert process is not None
        os.kill(process.pid, signal.SIGINT)

        def go_on() -> None:
            for wait, number in ((patience, signal.SIGTERM), (2.5, signal.SIGKILL)):
                deadline = time.monotonic() + wait
                while process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                if process.poll() is None:
                    os.kill(process.pid, number)

        threading.Thread(target=go_on, daemon=True).start()

    def kill(self) -> None:
        """End the step as the runner does when it did not end in time: at once, and all that it started."""
        self._cancelled = True
        assert self._process is not None
        for process in [self._process.pid, *_below(self._process.pid)]:
            with suppress(ProcessLookupError):  # some end with what started them
                os.kill(process, signal.SIGKILL)

    def _step(self, step: Mapping[str, Any], contexts: dict[str, Any], action: Path) -> None:
        functions = {
            "always": lambda: True,
            "success": lambda: not self._failed and not self._cancelled,
            "failure": lambda: self._failed,
            "cancelled": lambda: self._cancelled,
        }
        state: dict[str, Any] = {"outputs": {}, "outcome": "skipped"}
        contexts["steps"][step["id"]] = state
        if not condition(str(step.get("if", "")), contexts, functions):
            return
        self.ran.append(step["id"])
        if "uses" in step:
            name = step["uses"].partition("@")[0]
            given = {key: interpolate(as_text(value), contexts, functions) for key, value in step["with"].items()}
            state["outputs"] = dict(self.stand_ins[name](self, given))
            state["outcome"] = "success"
            return
        env = {name: interpolate(str(value), contexts, functions) for name, value in step.get("env", {}).items()}
        assert "${{" not in step["run"], "values reach the shell through env"
        status, state["outputs"] = self._run(step["run"], env, action)
        state["outcome"] = "success" if status == 0 else "failure"
        self._failed |= status != 0

    def _run(self, script: str, env: Mapping[str, str], action: Path) -> tuple[int, dict[str, str]]:
        files = {name: self.temp / f"{name.lower()}_{len(self.ran)}" for name in _FILES}
        for file in files.values():
            file.write_text("")
        program = self.temp / f"script_{len(self.ran)}.sh"
        program.write_text(script)
        self._process = subprocess.Popen(
            [*SHELL, str(program)],
            cwd=self.workspace,
            env={**self.environment(action), **env, **{f"GITHUB_{name}": str(file) for name, file in files.items()}},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            for line in lines_of(raw.decode("utf-8", "replace").rstrip("\n")):
                self.heard.take(line)
        status = self._process.wait()
        self._set |= pairs_of(files["ENV"].read_text())
        self._path += [line for line in lines_of(files["PATH"].read_text()) if line]
        self.summary += files["STEP_SUMMARY"].read_text()
        return status, {**self.heard.outputs, **pairs_of(files["OUTPUT"].read_text())}

    def environment(self, action: Path = ROOT) -> dict[str, str]:
        """Return what each step's environment holds on a runner; nothing of this process's but where programs are."""
        names = ("PATH", "HOME", "LANG", *KEPT_FOR_REGISTRIES)
        machine = {name: os.environ[name] for name in names if name in os.environ}
        own = {
            f"GITHUB_{name.upper()}": str(value)
            for name, value in self.github.items()
            if isinstance(value, str | int) and name != "token"
        }
        return {
            **machine,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            **own,
            "GITHUB_ACTION_PATH": str(action),
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TOOL_CACHE": str(ROOT / ".stagedoor" / "action"),
            "STAGEDOOR_CACHE_DIR": str(ROOT / ".stagedoor" / "cache"),
            **self.tokens,
            **self.env,
            **self._set,
            "PATH": ":".join([*reversed(self._path), os.environ["PATH"]]),
        }


def _below(process: int) -> list[int]:
    """Return the processes that one started, and those that these did."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [each for child in map(int, children) for each in (child, *_below(child))]
