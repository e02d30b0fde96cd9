"""Run an app's program as the CDK CLI would, with a stage's name and its target, and get the assembly that it writes.

No `cdk` is started; `program.py` says what is run. Where nothing of what decides an assembly has changed since it was
made, nothing is run at all: `sources.py` says what that is, `seen.py` keeps the assemblies.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.program import SynthRequest, read_program
from stagedoor.synth.seen import SeenAssemblies
from stagedoor.synth.sources import read_sources, unchanged
from stagedoor.synth.staged import StagedFiles

if TYPE_CHECKING:
    from stagedoor.synth.executor import Executor
    from stagedoor.synth.validation import Validation
    from stagedoor.synth.warm import Warm

__all__ = ["SynthRequest", "synthesize"]


def synthesize(
    request: SynthRequest,
    executor: "Executor",
    emit: Emit,
    validation: "Validation | None" = None,
    warm: "Warm | None" = None,
) -> Path:
    """Return the directory of the app's assembly: install the app's dependencies and run its program, or use what an
    equal tree gave before, which the event `hit` tells. `validation` is got ready while the program runs; `warm`
    may have a process for it, and gets the next one ready.

    Raises `running.SynthFailed` with the end of the app's own output and, where it can be read, the place in its code;
    other `UserError`s for what stops it before, and for limits that it passed.
    """
    program = read_program(request)
    cache = request.cache_dir.resolve() / request.trust.value
    output = request.output.resolve()
    sources = read_sources(program.root, cache / "trees") if request.remember else None
    seen = SeenAssemblies(cache / "assemblies")
    key = program.key(sources.digest) if sources else ""
    environments = seen.take(key, output) if sources else None
    if environments is not None:
        if validation:
            validation.prepare(program, environments)
        emit(Event(EventKind.LOG, "synth", "hit", "All that the program can read is as it was: its assembly is, too."))
        return output
    # Only here: who finds the assembly of an equal tree does not wait for what runs programs to load.
    from stagedoor.synth.running import run_program

    if sources is None:
        run_program(program, cache, output, executor, emit, validation, warm)
        return output
    before = sources.contents()
    staged = StagedFiles(cache / "staged" / sources.index.name)
    environment = run_program(
        program, cache, output, executor, emit, validation, warm, only_assets=staged.are_all(sources.changed)
    )
    after = read_sources(program.root, cache / "trees")
    # Whoever edits a file while the program runs gets an assembly that belongs to no tree.
    if after is not None and unchanged(before, after.contents()):
        staged.keep(before, seen.keep(key, output, environment.made))
    return output
