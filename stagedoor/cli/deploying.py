"""How `stagedoor deploy` takes an app to a stage, and an app's assembly for a stage, which other commands want, too."""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stagedoor.assembly.annotations import shown
from stagedoor.assembly.bridged_functions import BridgedFunction
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly, Level
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import cache_dir, work_folder
from stagedoor.cli.options import Options
from stagedoor.cli.parameters import with_parameters
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending
from stagedoor.cli.selection import known_of, only_stacks
from stagedoor.cli.stage import FoundStage, adopting, busy_stacks, find_stage, ownerless
from stagedoor.cli.type_files import refresh_types
from stagedoor.cli.work import Work, at_work
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.apply import Deployed
from stagedoor.deploy.apply import deploy as deploy_assembly
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.publishing.published import PublishedFiles
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.deploy.stage_values import check_secrets
from stagedoor.deploy.swapping.drift import ParameterDrifts
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.events import Event, EventKind
from stagedoor.naming import StageIdentity, is_lasting, parameter_folder
from stagedoor.synth.context.kept_file import ContextFile
from stagedoor.synth.context.lookup import Account, synthesize_with_context
from stagedoor.synth.executor import Limits, LocalProcessExecutor
from stagedoor.synth.synthesis import SynthRequest, synthesize
from stagedoor.synth.validation import Validation
from stagedoor.target import Target

if TYPE_CHECKING:
    from stagedoor.assembly.bridging.model import Bridges
    from stagedoor.synth.warm import Warm


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deploy was told. `stacks`: only these, and what they depend on; `cache`: an equal tree's assembly may be
    used again.
    """

    stage: str | None
    stacks: Sequence[str] = ()
    adopt: bool = False
    parameters: tuple[str, ...] = ()
    hotswap: bool | None = None
    cache: bool = True


def deploy_app(wanted: Wanted, options: Options, warm: "Warm | None" = None) -> None:
    """Deploy the app that the options name. `warm` may have a process for its program."""
    with at_work(options) as work:
        if warm:
            warm.check = work.interruption.check
        with work.interruption.anywhere():
            app = work.app()
            name = stage_named(wanted.stage, app)
            found = find_stage(work, app, name, adopt=wanted.adopt)
        target = found.target
        work.screen.heading(f"{app.name} · stage {name} · account {target.account}, {target.region}")
        with work.screen:
            app = replace(app, cache=app.cache and wanted.cache, parameters=wanted.parameters)
            deployed = _deploy(work, app, found, wanted, warm)
        work.screen.end(_ending(found.identity, target, deployed))


def _deploy(work: Work, app: AppFolder, found: FoundStage, wanted: Wanted, warm: "Warm | None") -> Deployed:
    with work_folder() as folder, _validation(work, found.target) as validation:
        with work.interruption.anywhere():
            own = own_assembly(work, app, found, folder, validation, warm)
            refresh_types(app, own, work.emit)
            check_secrets(own, found.identity, found.clients, work.emit)
            chosen = only_stacks(own, wanted.stacks)
            validation.begin(own)
            names = {stack.own_name for stack in own.stacks}
            identity = adopting(found, names) if wanted.adopt else found.identity
            if beside := ownerless(found, names):
                what = f"{', '.join(beside)} of this app, without an owner, stay beside this stage."
                work.emit(Event(EventKind.WARNING, app.name, message=f"{what} Take them over with --adopt instead?"))
            # All are rewritten, as one may refer to another; the chosen ones are kept.
            whole = stage_assembly(work, own, identity, found.target, folder)
            assembly = replace(whole, stacks=tuple(stack for stack in whole.stacks if stack.id in chosen))
        work.busy_stacks = lambda: busy_stacks(read_all_stacks(found.clients), identity)
        return deploy_assembly(
            assembly,
            identity,
            found.clients,
            work.ledger(),
            work.emit,
            known_of(assembly, found.known) if wanted.stacks else found.known,
            PublishedFiles(cache_dir() / found.target.trust / "published"),
            alone=True,
            hotswaps=hotswaps_of(identity, found.clients, wanted.hotswap),
            before_apply=lambda: validation.check(work.emit),
            seen=found.just_seen(),
        )


def hotswaps_of(identity: StageIdentity, clients: Clients, wanted: bool | None = None) -> Hotswaps:
    """Return whether a deploy does hotswaps, and where they are written down; a lasting stage has none unasked."""
    return Hotswaps(ParameterDrifts(clients, identity), identity.disposable if wanted is None else wanted)


def _validation(work: Work, target: Target) -> Validation:
    """Return what validates the templates beside the deploy's first steps."""
    return Validation(
        lambda check: LocalProcessExecutor(check=check), cache_dir() / target.trust.value, work.interruption.check
    )


def synth_request(app: AppFolder, stage: str, target: Target, folder: Path) -> SynthRequest:
    """Return how the app's program is run for a stage; its assembly will be in `folder`."""
    return SynthRequest(
        app_dir=app.path,
        output=folder / "cdk.out",
        stage=stage,
        account=target.account,
        region=target.region,
        cache_dir=cache_dir(),
        trust=target.trust,
        command=app.command,
        root=app.repository.root,
        remember=app.cache,
        parameters=parameter_folder(app.name, app.repository.id),
        lasting=is_lasting(stage),
        environment=os.environ,
    )


def own_assembly(
    work: Work,
    app: AppFolder,
    found: FoundStage,
    folder: Path,
    validation: Validation | None = None,
    warm: "Warm | None" = None,
) -> Assembly:
    """Run the app's program, and return the assembly that it wrote, with the parameters that the command was given."""
    target = found.target
    request = synth_request(app, found.identity.stage, target, folder)
    account = Account(target, found.clients.lookup, judges_request)
    with work.phase("synth"):
        assembly = synthesize_with_context(
            request,
            lambda asked: synthesize(asked, LocalProcessExecutor(Limits(niceness=0)), work.emit, validation, warm),
            account,
            ContextFile(request),
            work.emit,
        )
    return with_parameters(assembly, app.parameters)


def stage_assembly(
    work: Work,
    assembly: Assembly,
    identity: StageIdentity,
    target: Target,
    folder: Path,
    bridges: "Bridges | None" = None,
    tell_functions: Callable[[Iterable[BridgedFunction]], None] = lambda _: None,
) -> Assembly:
    """Look at the app's assembly as hostile input, and return it as the stage has it. Of a stage with `bridges`, the
    functions are told.
    """
    with work.phase("inspect"):
        inspect_assembly(assembly, target)
        rewritten = rewrite_assembly(assembly, identity, target, folder / "stage.out", bridges)
        tell_functions(rewritten.functions)
        for said in shown(assembly.annotations, Level.WARNING):
            work.emit(Event(EventKind.WARNING, said.construct_path, message=said.message))
        for said in shown(assembly.annotations, Level.NOTE):
            work.emit(Event(EventKind.LOG, said.construct_path, message=said.message))
        for finding in rewritten.findings:
            work.emit(Event(EventKind.WARNING, finding.construct_path, message=f"{finding.what} {finding.remedy}"))
    return rewritten.assembly


def _ending(identity: StageIdentity, target: Target, deployed: Deployed) -> Ending:
    did = "is as it was: nothing to do." if deployed.unchanged else "is deployed."
    return Ending(
        f"The stage {identity.stage} of {identity.app} {did}",
        outputs={stack: values for stack, values in deployed.outputs.items() if values},
        data={
            "app": identity.app,
            "stage": identity.stage,
            "account": target.account,
            "region": target.region,
            "unchanged": deployed.unchanged,
            "stacks": [{"name": stack.name, "arn": stack.arn} for stack in deployed.stacks],
        },
    )
