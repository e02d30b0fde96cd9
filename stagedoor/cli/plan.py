"""`stagedoor plan`: what a deploy by the service would change, and nothing else."""

from contextlib import suppress

import click

from stagedoor.cli.app_folder import commit_of
from stagedoor.cli.asking import GOOD, Asking, failure_at_end, with_service
from stagedoor.cli.failure import USER_ERROR
from stagedoor.cli.options import EXIT_CODES
from stagedoor.cli.screen import Ending
from stagedoor.deploy.plan_document import plan_from_json
from stagedoor.deploy.plan_tree import print_plan, summary
from stagedoor.errors import Cancelled, UserError


@click.command(epilog=EXIT_CODES)
@click.option("--stage", required=True, metavar="NAME", help="The stage.")
@click.option("--commit", metavar="REV", help="What would be deployed; it has to be pushed. [default: HEAD]")
@click.option("--run", type=int, metavar="RUN", help="What this run deployed, in place of a commit.")
@click.option("--exit-code", "--fail", "exit_code", is_flag=True, help="Exit with 1 where something would change.")
@with_service
def plan(stage: str, commit: str | None, run: int | None, exit_code: bool, asking: Asking) -> int:
    """Have the service tell what it would change in a stage if it deployed a commit, or what a run deployed (as a
    roll-back and a promotion do). It takes no AWS credentials here, and nothing is changed.

    \b
    Example:
      stagedoor plan --stage prod --commit main
      stagedoor plan --stage prod --run 17
    """
    if commit is not None and run is not None:
        raise click.UsageError("Name a commit or a run, not both.")
    what = {"run": run} if run is not None else {"commit": commit_of(asking.work.app().path, commit or "HEAD")}
    body = {"repository": asking.repository, "app": asking.app, "stage": stage, **what}
    asked = asking.service.post("/plans", body)["plan"]
    told = f"run {run}" if run is not None else str(what["commit"])[:7]
    try:
        end = asking.watched(f"/plans/{asked}/stream", f"{asking.app} · {told} to {stage} · {asking.service.url}")
    except (Cancelled, KeyboardInterrupt):
        asking.work.going_on = "Nothing was changed."
        with suppress(UserError):  # nobody waits for it any more
            asking.service.post(f"/plans/{asked}/cancel")
        raise
    if end["outcome"] not in GOOD:
        raise failure_at_end(end, f"The plan ended: {end['outcome']}.", "Ask for it once more.")
    whole = asking.service.get(f"/plans/{asked}")["plan"]
    found = plan_from_json(whole)
    if not asking.work.options.as_json:
        print_plan(found)
    sentence = "Nothing would change." if found.unchanged else summary(found)
    asking.work.screen.end(Ending(sentence, data={"app": asking.app, "stage": stage, **what, "plan": whole}))
    return USER_ERROR if found.refusals or (exit_code and not found.unchanged) else 0
