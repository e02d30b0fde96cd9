"""How long a deploy takes beside the longest chain of what AWS itself has to do: `python -m bench.deploy.model`.

The deploys run against the model of CloudFormation in `simulated_cloudformation.py`, in real seconds.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.deploy import simulated_cloudformation as model
from bench.deploy.engine import deploy_assembly, stage
from bench.peers import ROOT
from bench.results import Result
from bench.rows import Row
from stagedoor.deploy.clients import Clients
from stagedoor.target import Target
from tests.cloudformation.account import ACCOUNT
from tests.cloudformation.endpoint import ScriptedCloudFormation

SIZES = (1, 2, 5, 10, 20, 50)
SERVICE_SIZE = 10
DEPTH = 3
"""Stacks in the longest chain: the graphs are wide, so that the largest is done in two minutes."""

BAR = 1.05
ALONE, SERVICE = "alone", "service"

HOW = f"""
**Overhead on AWS's own times.** A deploy of new stacks against a model of CloudFormation, in real seconds, from the
ready assembly to the end. Graphs are random (seeded): a stack depends on up to two others, {DEPTH} deep, and has up to
four functions ({model.FUNCTION:g} s) with a role ({model.ROLE:g} s), a policy ({model.POLICY:g} s), a log group
({model.LOG_GROUP:g} s), and a secret ({model.SECRET:g} s). These are times of real deploys that people have published,
each with its source in `bench/deploy/simulated_cloudformation.py`; what takes longer on AWS, such as a CloudFront
distribution, would only make the ratio smaller. Each call takes {model.LATENCY * 1000:g} ms more than its work. The
critical path is the longest chain of resources through the stacks' dependencies. The command line changes stacks at
once and is held to the bar. The service does it by change sets, for their compare-and-swap; one takes AWS
{model.CHANGE_SET[0]:g} to {model.CHANGE_SET[1]:g} s, which are not in the critical path.
"""


def overhead(_rounds: int) -> Row:
    """Measure the makespan beside the critical path for each size of graph: once each, all at the same time."""
    with TemporaryDirectory(prefix="stagedoor-bench-") as folder:
        running = {
            (how, stacks): subprocess.Popen(
                [sys.executable, "-m", "bench.deploy.model", how, str(stacks), folder],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for how, stacks in (*((ALONE, size) for size in SIZES), (SERVICE, SERVICE_SIZE))
        }
        lines = {key: _line(process) for key, process in running.items()}
    alone = {stacks: line for (how, stacks), line in lines.items() if how == ALONE}
    stacks, worst = max(alone.items(), key=lambda item: _ratio(item[1]))
    value = round(_ratio(worst), 3)
    against = f"{stacks} stacks: {worst['makespan']:.1f} s, critical path {worst['critical']:.1f} s"
    result = Result("makespan beside the critical path, worst graph", value, "times", f"≤ {BAR}", value <= BAR, against)
    return Row((result,), HOW + "\n" + _table(lines))


def _line(process: "subprocess.Popen[str]") -> dict[str, float]:
    said, _ = process.communicate(timeout=600)
    if process.returncode:
        raise RuntimeError("a deploy against the model failed; it said above why")
    print(f"  {said}", end="", flush=True)
    line: dict[str, float] = json.loads(said)
    return line


def _ratio(line: dict[str, float]) -> float:
    return line["makespan"] / line["critical"]


def _table(lines: dict[tuple[str, int], dict[str, float]]) -> str:
    table = ["| stacks | how | critical path | makespan | | calls | processor |", "|---|---|---|---|---|---|---|"]
    for (how, stacks), line in lines.items():
        times = f"{line['critical']:.1f} s | {line['makespan']:.1f} s | {_ratio(line):.3f}"
        words = "at once" if how == ALONE else "by change sets"
        table.append(f"| {stacks} | {words} | {times} | {line['calls']:g} | {line['processor']:.1f} s |")
    return "\n".join(table)


def make_graph(directory: Path, stacks: int, chance: random.Random) -> float:
    """Write an assembly of stacks that depend on each other, and return its critical path in seconds."""
    directory.mkdir(parents=True)
    artifacts: dict[str, Any] = {}
    done: dict[str, float] = {}
    depth: dict[str, int] = {}
    for number in range(stacks):
        name = f"Stack{number:02d}"
        before = sorted(other for other in done if depth[other] < DEPTH)
        needs = chance.sample(before, min(len(before), chance.choice((0, 1, 1, 2))))
        resources = _resources(chance)
        depth[name] = max((depth[need] for need in needs), default=0) + 1
        done[name] = max((done[need] for need in needs), default=0.0) + max(model.ends(resources).values())
        (directory / f"{name}.template.json").write_text(json.dumps({"Resources": resources}))
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": needs,
        }
    (directory / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": artifacts}))
    return max(done.values())


def _resources(chance: random.Random) -> dict[str, Any]:
    """Return a secret, and up to four functions with what they need."""
    made = {"Secret": _resource(model.SECRET)}
    for number in range(chance.randint(0, 4)):
        made[f"Role{number}"] = _resource(model.ROLE)
        made[f"Policy{number}"] = _resource(model.POLICY, f"Role{number}")
        made[f"Log{number}"] = _resource(model.LOG_GROUP)
        made[f"Function{number}"] = _resource(model.FUNCTION, f"Policy{number}", f"Log{number}")
    return made


def _resource(seconds: float, *needs: str) -> dict[str, Any]:
    """Return a resource that stands for one of any type: the model knows its time alone."""
    return {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": "value"},
        "Metadata": {model.SECONDS: seconds},
        "DependsOn": list(needs),
    }


def main() -> None:
    """Deploy one graph and print a line of JSON. Arguments: `alone` or `service`, the number of stacks, a folder."""
    how, stacks, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    directory = folder / f"{how}-{stacks}"
    critical = make_graph(directory, stacks, random.Random(stacks))
    endpoint = ScriptedCloudFormation(model.SimulatedAccount(stacks))
    os.environ.update(endpoint.environment())
    model.answer_in_this_process(endpoint)
    began, processor = time.monotonic(), time.process_time()
    clients = Clients(Target("model", ACCOUNT, "us-east-1"))
    deploy_assembly(directory, stage("model"), clients, alone=how == ALONE)
    line = {
        "critical": critical,
        "makespan": time.monotonic() - began,
        "calls": len(endpoint.calls),
        "processor": time.process_time() - processor,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
