"""Run an app's program, whose dependencies are installed first, and get the assembly that it writes."""

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.above import settings_above
from stagedoor.synth.completion import complete_bundles
from stagedoor.synth.dependencies import Environment, install, to_log
from stagedoor.synth.executor import Command, Completed, Executor
from stagedoor.synth.inside import INSIDE
from stagedoor.synth.node_modules import node_modules_shown
from stagedoor.synth.places import location_in
from stagedoor.synth.program import Program, interpreted
from stagedoor.synth.validation import Validation
from stagedoor.synth.warm import Slot, Warm, quick, script_of


class SynthFailed(UserError):
    """The app's program ended with an error."""

    id = "synth-failed"


class NoAssembly(UserError):
    """The app's program ended well, and wrote no assembly."""

    id = "synth-wrote-no-assembly"


def run_program(
    program: Program,
    cache: Path,
    output: Path,
    executor: Executor,
    emit: Emit,
    validation: Validation | None,
    warm: Warm | None,
    *,
    only_assets: bool = False,
) -> Environment:
    """Install what the program needs, run it, and return what was installed. `only_assets`: it will probably write the
    templates that it wrote the last time.
    """
    environment = install(program.app_dir, program.root, cache, executor, emit)
    output.mkdir(parents=True)
    if validation:
        validation.prepare(program, environment.made)
        if not only_assets:
            validation.start()
    with (
        node_modules_shown(program.app_dir, program.root, environment),
        tempfile.TemporaryDirectory(prefix="stagedoor-context-") as passing,
    ):
        variables = {**program.own, **environment.variables, **program.variables, "CDK_OUTDIR": str(output)}
        if program.large:
            overflow = Path(passing, "context-overflow.json")
            overflow.write_text(json.dumps(program.large))
            Path(passing).chmod(0o755)
            variables["CONTEXT_OVERFLOW_LOCATION_ENV"] = str(overflow)
        running = _Running(program, output, environment, variables, Path(passing), warm)
        try:
            for line in program.lines:
                running.run(line, executor, emit)
        finally:
            if warm:
                warm.fill(Slot.of(program, environment))
        if (output / "manifest.json").is_file():
            complete_bundles(output, program.root, cache, executor, emit, environment.readable)
    if not (output / "manifest.json").is_file():
        raise NoAssembly(
            f"The app's program ({program.lines[-1]}) ended without an error, and wrote no assembly.",
            "See that it calls synth(), and that it does not set an outdir of its own.",
        )
    return environment


@dataclass(frozen=True, slots=True)
class _Running:
    """A program, and where and with what its command lines are run."""

    program: Program
    output: Path
    environment: Environment
    variables: Mapping[str, str]
    passing: Path
    warm: Warm | None

    def run(self, line: str, executor: Executor, emit: Emit) -> None:
        """Run one command line of the repository's own, and raise `SynthFailed` when it fails."""
        app_dir, root = self.program.app_dir, self.program.root
        printed: list[str] = []
        on_line = to_log("synth", printed, emit)
        completed = self._warm(line, on_line, emit) or executor.run(self._command(line), on_line)
        if completed.status != 0:
            last = next((text.strip() for text in reversed(printed) if text.strip()), "")
            raise SynthFailed(
                f"The app's program ({line}) ended with status {completed.status}"
                + (f": {last[:300]}" if last else "."),
                "What it printed last is below; the same command shows it in the app's folder.",
                detail="\n".join(printed),
                location=location_in(printed, app_dir, root),
            )

    def _command(self, line: str) -> Command:
        """Return what runs the line by the shell that the CDK CLI starts, too; a plain line needs none."""
        path = ":".join(map(str, self.environment.path))
        words = quick(line, self.environment)
        script = f"exec {shlex.join(words)}" if words else interpreted(line, self.program.app_dir)
        return Command(
            name="synth",
            argv=("/bin/sh", "-c", f'PATH="{path}:$PATH"\n{script}'),
            cwd=self.program.app_dir,
            env=self.variables,
            readable=(*self.environment.readable, *settings_above(self.program.root), self.passing, *INSIDE),
            writable=(self.program.root, self.output),
        )

    def _warm(self, line: str, on_line: Callable[[str], None], emit: Emit) -> Completed | None:
        """Run the line in a process that has all loaded; None where there is none for it, and nothing was run."""
        argv = script_of(line)
        if self.warm is None or argv is None or self.program.large or any(self.output.iterdir()):
            return None
        process = self.warm.take(Slot.of(self.program, self.environment), argv[0])
        if process is None:
            return None
        completed = process.run(argv, self.variables, on_line, self.warm.check)
        emit(Event(EventKind.LOG, "synth", "warm", "The program ran in a process that had the CDK loaded."))
        self.output.rmdir()
        shutil.move(process.output, self.output)
        return completed
