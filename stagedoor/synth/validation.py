"""An assembly's templates held against the rules of the app's own aws-cdk-lib, beside the deploy's first steps.

aws-cdk-lib brings an engine that knows what CloudFormation will refuse (`@aws/cloudformation-validate`). In a synth it
takes longer than everything else together, most of that to get ready. So the synth is told to leave it out, and a
process of its own gets the engine ready while the app's program runs, validates what that wrote, and must be done
before the first stack is changed. It is code of the app's dependencies, and is confined as the app's program is.

One `Validation` serves one deploy:

    with Validation(executor_with, cache) as validation:
        directory = synthesize(request, executor, emit, validation)
        validation.begin(read_assembly(directory))
        deploy(…, before_apply=lambda: validation.check(emit))
"""

import hashlib
import json
import re
import secrets
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from stagedoor.assembly.model import Assembly, Stack
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.executor import Command, Executor, go_on
from stagedoor.synth.keeping import oldest_first, write_whole
from stagedoor.synth.program import ADVICE_ONLY, Program

PLUGIN = "core/lib/validation/cloudformation-validate-plugin.js"
"""Where aws-cdk-lib 2.275 has its validation. One that has none there is old, and its templates are not validated."""

_SCRIPT = Path(__file__).with_name("validate.js")
_MEMORY_SCRIPT = Path(__file__).with_name("engine_memory.js")
_MEMORY = "engine.memory"
"""A ready engine's memory, in the folder of the environment that the engine is part of. Only the engine's own code has
written it, before it saw a template, so it is trusted as far as that."""

_NAMESPACE = "CloudFormation-Validate"
_KEPT = 500
_LOOK_SECONDS = 0.05
_SHOWN = 20
_HASH = re.compile(r"[0-9a-f]{64}")
_NO_HASH = b"0" * 64
_UNKNOWN = frozenset({"", "unknown-account", "unknown-region"})


class TemplateInvalid(UserError):
    """A template has something in it that CloudFormation would refuse."""

    id = "template-invalid"


@dataclass(frozen=True, slots=True)
class Violation:
    """A place in a template that breaks a rule. `severity` is the engine's: `error`, `warning`, or less."""

    stack: str
    logical_id: str
    rule: str
    severity: str
    description: str
    fix: str


class _Ended(Exception):
    """Nobody waits for the result any more."""


class Validation:
    """The validation of one deploy's templates. Nothing is started where equal templates were validated before.

    `executor_with` returns an executor that asks its argument many times a second whether to go on; it is used in
    another thread. `check` is asked while `check()` waits, and raises to end the waiting. `cache` is that of one trust
    level.
    """

    def __init__(
        self,
        executor_with: Callable[[Callable[[], None]], Executor],
        cache: Path,
        check: Callable[[], None] = go_on,
    ) -> None:
        self._executor_with = executor_with
        self._reports = cache / "validated"
        self._asked = check
        self._passing = tempfile.TemporaryDirectory(prefix="stagedoor-validation-", ignore_cleanup_errors=True)
        self._library: Path | None = None
        self._kept: Path | None = None
        self._readable: tuple[Path, ...] = ()
        self._advice_only = False
        self._thread: threading.Thread | None = None
        self._lines: list[str] = []
        self._problem = ""
        self._ended = threading.Event()
        self._stacks: Sequence[Stack] = ()
        self._key = ""
        self._violations: list[Violation] | None = None

    def __enter__(self) -> "Validation":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._passing.cleanup()

    def prepare(self, program: Program, made: Iterable[Path]) -> None:
        """Find the engine among what was installed for the program."""
        environments = [folder.resolve() for folder in made]
        self._library = _library(environments, program)
        self._advice_only = program.advice_only
        if self._library is not None:
            part_of = [folder for folder in environments if self._library.is_relative_to(folder)]
            self._kept = part_of[0] / _MEMORY if part_of else None
            kept = (self._kept,) if self._kept else ()
            self._readable = (_packages(self._library), Path(self._passing.name), _SCRIPT, _MEMORY_SCRIPT, *kept)

    def start(self) -> None:
        """Get the engine ready."""
        if self._library is None or self._thread is not None:
            return
        folder = Path(self._passing.name)
        folder.chmod(0o755)
        (folder / "first.json").write_text('{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}')
        made = folder / "made"
        made.mkdir()
        memory = (str(self._kept), str(made / _MEMORY)) if self._kept else ()
        command = Command(
            name="validation",
            argv=("node", str(_SCRIPT), str(self._library), f"{folder}/first.json", f"{folder}/go", *memory),
            cwd=folder,
            readable=self._readable,
            writable=(made,),
        )
        self._thread = threading.Thread(target=self._run, args=(command,), name="validation", daemon=True)
        self._thread.start()

    def begin(self, assembly: Assembly) -> None:
        """Validate the app's own templates, unless equal ones were validated before."""
        if self._library is None:
            return
        self._stacks = assembly.stacks
        templates = [stack.template_path.read_bytes() for stack in assembly.stacks]
        decides = hashlib.sha256(f"{self._library} {_SCRIPT.read_text()}".encode())
        for stack, template in zip(assembly.stacks, templates, strict=True):
            decides.update(json.dumps(_ordered(stack, len(template))).encode() + _without_hashes(template, stack))
        self._key = decides.hexdigest()
        self._violations = _remembered(self._reports / self._key)
        if self._violations is not None:
            self._ended.set()
            return
        self.start()
        copies = [Path(self._passing.name, f"{number}.json") for number in range(len(templates))]
        for copy, template in zip(copies, templates, strict=True):
            copy.write_bytes(template)
        ordered = [_ordered(stack, copy) for stack, copy in zip(assembly.stacks, copies, strict=True)]
        write_whole(Path(self._passing.name, "go"), json.dumps(ordered).encode())

    def check(self, emit: Emit) -> None:
        """Wait for the end, emit each warning, and raise `TemplateInvalid` where the templates have errors.

        An engine that cannot be run stops nothing, since CloudFormation validates again; a warning says so.
        """
        if self._library is None:
            return
        while self._violations is None and self._thread is not None and self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)
            self._asked()
        if self._violations is None:
            self._violations = self._report()
        if self._violations is None:
            emit(Event(EventKind.WARNING, "", message=f"The templates could not be validated: {self._problem}"))
            return
        found = _unacknowledged(self._violations, self._stacks)
        errors = [] if self._advice_only else [violation for violation in found if violation.severity == "error"]
        for violation in found:
            if violation not in errors:
                place, words = _place(violation, self._stacks), f"{violation.description} ({violation.rule})"
                emit(Event(EventKind.WARNING, place, message=words))
        if errors:
            raise _invalid(errors, self._stacks)

    def _run(self, command: Command) -> None:
        try:
            completed = self._executor_with(self._go_on).run(command, self._lines.append)
            if completed.status != 0:
                self._problem = next((line.strip() for line in self._lines if "Error" in line), "it failed.")
            self._keep_memory(Path(self._passing.name, "made", _MEMORY), whole=completed.status == 0)
        except _Ended:
            self._problem = "it was ended."
        except (UserError, OSError) as error:
            self._problem = str(error)

    def _keep_memory(self, made: Path, *, whole: bool) -> None:
        """Keep a ready engine's memory for the next time; give up the one that was kept where the engine failed."""
        if self._kept is None:
            return
        with suppress(OSError):  # there is none; or a full disk, which costs the next validation its time
            if not whole:
                self._kept.unlink(missing_ok=True)
            # A link would be followed when the next process is allowed to read what is there.
            elif stat.S_ISREG(made.lstat().st_mode):
                passing = self._kept.with_name(f"{_MEMORY}.{secrets.token_hex(4)}")
                try:
                    shutil.move(made, passing)
                    passing.replace(self._kept)
                finally:
                    passing.unlink(missing_ok=True)

    def _go_on(self) -> None:
        if self._ended.is_set():
            raise _Ended

    def _report(self) -> list[Violation] | None:
        """Return what the engine found, and remember it; None where it did not get to its end."""
        if self._problem:
            return None
        found = _read_lines(self._lines)
        if found is None:
            self._problem = "it ended too early."
            return None
        self._reports.mkdir(parents=True, exist_ok=True)
        write_whole(self._reports / self._key, json.dumps([asdict(violation) for violation in found]).encode())
        for old in oldest_first(self._reports)[:-_KEPT]:
            old.unlink(missing_ok=True)
        return found


def _library(made: Iterable[Path], program: Program) -> Path | None:
    """Return the folder of the app's aws-cdk-lib that Node loads, where it has an engine."""
    folders = [library for folder in made for library in sorted(folder.glob("jsii/aws-cdk-lib/*/*"))]
    folders += [folder / "node_modules" / "aws-cdk-lib" for folder in made]
    for folder in (program.app_dir, *program.app_dir.parents):
        folders.append(folder / "node_modules" / "aws-cdk-lib")
        if folder == program.root:
            break
    return next((folder.resolve() for folder in folders if (folder / PLUGIN).is_file()), None)


def _without_hashes(template: bytes, stack: Stack) -> bytes:
    """Return a template in which all assets have the same hash: no rule asks what is in a function's archive, and most
    changes are changes of code.
    """
    for found in {asset.claimed_hash for asset in stack.assets if _HASH.fullmatch(asset.claimed_hash)}:
        template = template.replace(found.encode(), _NO_HASH)
    return template


def _packages(library: Path) -> Path:
    """Return the folder that holds all that the library loads: packages beside it, where it is one of several."""
    return library.parent if library.parent.name == "node_modules" else library


def _ordered(stack: Stack, template: object) -> dict[str, str]:
    known = {"accountId": stack.account, "region": stack.region}
    place = {"templatePath": str(template), "stackConstructPath": stack.id}
    return place | {name: value for name, value in known.items() if value not in _UNKNOWN}


def _remembered(report: Path) -> list[Violation] | None:
    try:
        return [Violation(**entry) for entry in json.loads(report.read_bytes())]
    except (OSError, ValueError, TypeError):
        return None


def _read_lines(lines: Sequence[str]) -> list[Violation] | None:
    """Return what the script printed; None unless its last line says that these are all. Others print, too (Node)."""
    found: list[Violation] = []
    for line in lines:
        entry = _object(line)
        if "findings" in entry:
            return found if entry["findings"] == len(found) else None
        if set(entry) == set(Violation.__slots__):
            found.append(Violation(**{name: str(value) for name, value in entry.items()}))
    return None


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _unacknowledged(violations: Iterable[Violation], stacks: Sequence[Stack]) -> list[Violation]:
    """Leave out what the app acknowledges (`Validations.of(construct).acknowledge`), at the construct or above it."""
    acknowledged = {(path, rule) for stack in stacks for path, rules in stack.acknowledged.items() for rule in rules}

    def is_open(violation: Violation) -> bool:
        parts = _place(violation, stacks).split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return not any((path, f"{_NAMESPACE}::{violation.rule}") in acknowledged for path in above)

    return [violation for violation in violations if is_open(violation)]


def _place(violation: Violation, stacks: Sequence[Stack]) -> str:
    """Return the construct's path, or as near to it as is known."""
    stack = next((stack for stack in stacks if stack.id == violation.stack), None)
    path = stack.construct_paths.get(violation.logical_id, "") if stack else ""
    return path or "/".join(part for part in (violation.stack, violation.logical_id) if part)


def _invalid(errors: Sequence[Violation], stacks: Sequence[Stack]) -> TemplateInvalid:
    first, place = errors[0], _place(errors[0], stacks)
    more = f" There are {len(errors) - 1} more." if len(errors) > 1 else ""
    return TemplateInvalid(
        f"CloudFormation would refuse {place}: {first.description} ({first.rule}).{more} Nothing was changed.",
        (f"{first.fix.rstrip('.')}. " if first.fix else "Put it right. ")
        + f"If you know better, acknowledge {_NAMESPACE}::{first.rule} with `Validations.of(construct)`, or set "
        f'"{ADVICE_ONLY}": false in the context of cdk.json.',
        detail="\n".join(f"{_place(error, stacks)}: {error.description} ({error.rule})" for error in errors[:_SHOWN]),
    )
