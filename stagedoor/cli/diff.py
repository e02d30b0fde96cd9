"""`stagedoor diff`: what a deploy of the app in this folder would change, and nothing else."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import work_folder
from stagedoor.cli.deploying import hotswaps_of, own_assembly, stage_assembly
from stagedoor.cli.failure import USER_ERROR
from stagedoor.cli.options import EXIT_CODES, PARAMETERS, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending
from stagedoor.cli.stage import FoundStage, adopting, find_stage
from stagedoor.cli.work import Work, at_work
from stagedoor.deploy.insides import compared
from stagedoor.deploy.plan import Plan
from stagedoor.deploy.plan_json import plan_as_json
from stagedoor.deploy.plan_tree import print_plan, summary
from stagedoor.deploy.trial import with_change_sets


@click.command(epilog=EXIT_CODES)
@STAGE
@click.option("--exit-code", "--fail", "exit_code", is_flag=True, help="Exit with 1 where something would change.")
@click.option("--adopt", is_flag=True, help="Compare with the app's stacks that were deployed without Stagedoor.")
@click.option("--change-set", is_flag=True, help="Let CloudFormation tell: make change sets, read and delete them.")
@PARAMETERS
@with_options
def diff(
    stage: str | None, exit_code: bool, adopt: bool, change_set: bool, parameters: tuple[str, ...], options: Options
) -> None:
    """Show what `stagedoor deploy` would change. Nothing is changed by looking; --change-set alone makes change sets,
    and deletes them.

    Permissions come first, then resources, those that lose data before the others. What CloudFormation would refuse is
    said below them; then the exit code is 1.

    \b
    Example:
      stagedoor diff --stage dev --profile sandbox
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            name = stage_named(stage, app)
            found = find_stage(work, app, name, adopt=adopt)
            target = found.target
            work.screen.heading(f"{app.name} · stage {name} · account {target.account}, {target.region}")
            with work.screen:
                plan = _plan(work, replace(app, parameters=parameters), found, adopt=adopt)
                if change_set:
                    plan = with_change_sets(plan, found.clients, work.run)
        if not options.as_json:
            print_plan(plan)
        sentence = "Nothing would change." if plan.unchanged else summary(plan)
        work.screen.end(Ending(sentence, data={"app": app.name, "stage": name, "plan": plan_as_json(plan)}))
    if plan.refusals or (exit_code and not plan.unchanged):
        sys.exit(USER_ERROR)


def _plan(work: Work, app: AppFolder, found: FoundStage, *, adopt: bool) -> Plan:
    with work_folder() as folder:
        own = own_assembly(work, app, found, folder)
        identity = adopting(found, {stack.own_name for stack in own.stacks}) if adopt else found.identity
        assembly = stage_assembly(work, own, identity, found.target, folder)
        with work.phase("plan"):
            hotswaps = hotswaps_of(identity, found.clients)
            return compared(assembly, identity, found.clients, found.known, hotswaps, Path(folder) / "addressed")
