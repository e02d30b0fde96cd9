"""What a run lets repository code do, confined and away from all that is ours: its synth, and what goes with it."""

import pwd
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from service.parts import Parts
from service.settings import Settings
from stagedoor.assembly.model import Assembly
from stagedoor.events import Emit
from stagedoor.synth.executor import Limits, LocalProcessExecutor
from stagedoor.synth.synthesis import SynthRequest, synthesize
from stagedoor.synth.validation import Validation
from stagedoor.synth.warm_keeper import KeptWarm
from stagedoor.target import Trust


class RepositoryCode:
    """The confined processes of one run. `check` is asked many times a second, and raises to end what goes on.

    A synth is run in a warm process where the worker has one. The templates are validated beside the deploy's first
    steps.
    """

    def __init__(self, parts: Parts, trust: Trust, check: Callable[[], None]) -> None:
        self._settings = parts.settings
        self._check = check
        self._ends = ExitStack()
        cache = cache_of(parts.settings) / trust.value
        validation = Validation(lambda go_on: executor(parts.settings, go_on), cache, check)
        self._validation = self._ends.enter_context(validation)
        door = parts.warm_door
        self._warm = None if door is None else self._ends.enter_context(KeptWarm(door, check))

    def __enter__(self) -> "RepositoryCode":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ends.__exit__(kind, error, at)

    def synthesize(self, request: SynthRequest, emit: Emit) -> Path:
        """Return the directory of the app's assembly (see `stagedoor.synth.synthesis`)."""
        return synthesize(request, executor(self._settings, self._check), emit, self._validation, self._warm)

    def validate(self, assembly: Assembly) -> None:
        """Begin to validate the app's templates."""
        self._validation.begin(assembly)

    def before_apply(self, emit: Emit) -> None:
        """Wait until the templates are valid, or raise. From here on it is CloudFormation that works: a warm process
        is got ready for the next run.
        """
        self._validation.check(emit)
        if self._warm is not None:
            self._warm.go_ahead()


def executor(settings: Settings, check: Callable[[], None], seconds: float | None = None) -> LocalProcessExecutor:
    """Return what runs repository code under the operator's limits, or for other `seconds`."""
    limits = Limits(seconds=seconds or settings.synth_seconds, memory=settings.synth_memory_mb * 1024 * 1024)
    user = pwd.getpwnam(settings.synth_user).pw_uid if settings.synth_user else None
    return LocalProcessExecutor(limits, user, check)


def cache_of(settings: Settings) -> Path:
    """Return the folder of what may be used again; each trust level has one of its own in it."""
    return settings.data_dir.absolute() / "cache"
