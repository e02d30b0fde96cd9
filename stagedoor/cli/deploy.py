"""`stagedoor deploy`: take the app in this folder to a stage."""

from pathlib import Path

import click

from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import cache_dir, work_folder
from stagedoor.cli.options import EXIT_CODES, Options, with_options
from stagedoor.cli.screen import Ending
from stagedoor.cli.stage import busy_stacks, known_stacks, stage_identity, trust_of
from stagedoor.cli.work import Work, at_work
from stagedoor.deploy.apply import Deployed
from stagedoor.deploy.apply import deploy as deploy_assembly
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.events import Event, EventKind
from stagedoor.naming import StageIdentity
from stagedoor.synth.executor import LocalProcessExecutor
from stagedoor.synth.synthesis import SynthRequest, synthesize
from stagedoor.target import Target


@click.command(epilog=EXIT_CODES)
@click.option("--stage", required=True, metavar="NAME", help="The stage: lower-case letters, digits and hyphens.")
@with_options
def deploy(stage: str, options: Options) -> None:
    """Deploy the app in this folder to a stage of its own.

    A stage that is there already is changed; where nothing differs, nothing is done. Stages whose names begin with
    prod, production, staging, main or master keep their data; all others lose it when they are removed.

    \b
    Example:
      stagedoor deploy --stage dev --profile sandbox --region eu-west-1
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            identity = stage_identity(app, stage)
            target = work.target(app.path, app.repository.root, trust_of(identity))
        work.screen.heading(f"{app.name} · stage {stage} · account {target.account}, {target.region}")
        with work.screen:
            deployed = _deploy(work, app, identity, target)
        work.screen.end(_ending(identity, target, deployed))


def _deploy(work: Work, app: AppFolder, identity: StageIdentity, target: Target) -> Deployed:
    with work_folder() as folder:
        with work.interruption.anywhere():
            assembly = _stage_assembly(work, app, identity, target, folder)
            clients = work.clients(target)
            known = known_stacks(read_all_stacks(clients), identity)
        work.busy_stacks = lambda: busy_stacks(read_all_stacks(clients), identity)
        return deploy_assembly(assembly, identity, clients, work.ledger(), work.emit, known)


def _stage_assembly(work: Work, app: AppFolder, identity: StageIdentity, target: Target, folder: Path) -> Assembly:
    """Run the app's program, and return its assembly as the stage has it."""
    request = SynthRequest(
        app_dir=app.path,
        output=folder / "cdk.out",
        stage=identity.stage,
        account=target.account,
        region=target.region,
        cache_dir=cache_dir(),
        trust=target.trust,
        command=app.command,
        root=app.repository.root,
    )
    with work.phase("synth"):
        directory = synthesize(request, LocalProcessExecutor(), work.emit)
    with work.phase("inspect"):
        assembly = read_assembly(directory)
        inspect_assembly(assembly, target)
        rewritten = rewrite_assembly(assembly, identity, target, folder / "stage.out")
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
