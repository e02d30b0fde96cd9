"""What a person types in the app's folder, from the shell to the end of the command: without a change, and with one."""

import json
from uuid import uuid4

from bench.alternating import Side, alternate
from bench.deploy.accounts import OURS, Place, place
from bench.peers import Program
from bench.results import Result
from bench.rows import Row, ratio, spread
from bench.sample import change_code, copy_of_the_app

STAGE = ("deploy", "--stage", "bench")
FULL = ("deploy", "--stage", "full", "--no-hotswap")
ALL = ("deploy", "--all", "--require-approval", "never")

UNCHANGED = """
**Nothing changed.** Both commands are started in the folder of the sample app (Python, 3 stacks, 50 resources), whose
stage is deployed, and end when they have found nothing to do. Afterwards a stack is changed through CloudFormation by
hand; ours must find that it is not what the app says.
"""

CHANGED = """
**One function's code changed.** A line is added to one function's file before each turn, in each side's own copy of the
app; the clock runs from the shell to the end of the command. `--hotswap` goes straight to the function on both sides.

Of ours, two thirds of the processor time are the app's own program: half is Python, which imports the CDK and runs the
app, half Node, which makes the templates; its code is compiled ahead, and it loads while Python imports
(`docs/synth.md`). Both load while the command's own part does (half of that is to load the AWS SDK). Less would need
the CDK loaded before the command, as `stagedoor dev` and a worker have it (a tenth of the time), and so something that
outlives a command.
"""


def unchanged(rounds: int) -> Row:
    """Measure a deploy that finds nothing to do."""
    with place() as here:
        ours, theirs = deployed(here)
        sides = {
            "stagedoor deploy": Side(lambda: _must_be(ours(*STAGE, "--json"), unchanged=True)),
            "cdk deploy --all": Side(lambda: theirs(*ALL)),
        }
        seconds = alternate(sides, rounds)
        noticed = _notices_a_hand(here, ours)
    return Row(
        (
            ratio("deploy, nothing changed", seconds, "stagedoor deploy", "cdk deploy --all", 0.08),
            Result("a stack changed by hand is noticed", int(noticed), "of 1", "1", noticed, "the same command"),
        ),
        UNCHANGED + "\n" + spread(seconds),
    )


def changed(rounds: int) -> Row:
    """Measure a deploy of one function's new code, by CloudFormation and past it."""
    with place() as here:
        ours, theirs = deployed(here)
        ours_again = ours.at(copy_of_the_app(here.folder / "ours-full"))
        ours_again(*FULL)
        sides = {
            "stagedoor deploy --hotswap": _changing(ours, *STAGE, "--hotswap", "--json"),
            "stagedoor deploy": _changing(ours_again, *FULL, "--json"),
            "cdk deploy --all": _changing(theirs, *ALL),
            "cdk deploy --all --hotswap": _changing(theirs, *ALL, "--hotswap"),
        }
        seconds = alternate(sides, rounds)
    return Row(
        (
            ratio("deploy, one function's code changed", seconds, "stagedoor deploy", "cdk deploy --all", 0.2),
            ratio(
                "hotswap, one function's code changed",
                seconds,
                "stagedoor deploy --hotswap",
                "cdk deploy --all --hotswap",
                0.4,
            ),
        ),
        CHANGED + "\n" + spread(seconds),
    )


def deployed(here: Place) -> tuple[Program, Program]:
    """Deploy the sample app by both sides, and return them in their copies of it."""
    here.bootstrap()
    ours = here.stagedoor(copy_of_the_app(here.folder / "ours"))
    theirs = here.cdk(copy_of_the_app(here.folder / "theirs"))
    ours(*STAGE)
    theirs(*ALL)
    return ours, theirs


def _changing(program: Program, *words: str) -> Side:
    def prepare(_: int) -> None:
        # Never seen before, in an earlier run of the benchmark neither: else there would be no synth to measure.
        change_code(program.folder, uuid4().hex)

    def run() -> None:
        said = program(*words)
        if "--json" in words:
            _must_be(said, unchanged=False)

    return Side(run, prepare)


def _must_be(said: str, *, unchanged: bool) -> None:
    """Hold a command's result against what it was to do: a benchmark of a deploy that did not happen is none."""
    result = json.loads(said.splitlines()[-1])
    if result["unchanged"] is not unchanged:
        raise AssertionError(f"the deploy said unchanged={result['unchanged']}")


def _notices_a_hand(here: Place, ours: Program) -> bool:
    """Change a stack by hand, and return whether our next deploy does something about it."""
    cloudformation = here.client("cloudformation", OURS)
    stack = next(s for s in cloudformation.describe_stacks()["Stacks"] if s["StackName"].endswith("-ShopData"))
    template = cloudformation.get_template(StackName=stack["StackName"])["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    parameter = next(r for r in template["Resources"].values() if r["Type"] == "AWS::SSM::Parameter")
    parameter["Properties"]["Value"] = "by hand"
    cloudformation.update_stack(
        StackName=stack["StackName"],
        TemplateBody=json.dumps(template),
        Tags=stack["Tags"],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=stack["StackName"], WaiterConfig={"Delay": 1})
    return json.loads(ours(*STAGE, "--json").splitlines()[-1])["unchanged"] is False
