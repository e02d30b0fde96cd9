"""How it all ended: what is in AWS, in the database and on GitHub, against what should be."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from sqlalchemy import func, select

from service.github.messages import STATE_WORDS, StageState
from service.models import Outcome, Run, RunStep, Source, Stage
from tests.chaos.place import Place
from tests.chaos.record import Call
from tests.chaos.storm import Pull


def until_nothing_is_behind(look: Callable[[], list[str]], seconds: float) -> None:
    """Look again and again until nothing is behind; fail with what is behind still after `seconds`."""
    deadline = time.monotonic() + seconds
    while behind := look():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still behind:\n" + "\n".join(behind)
        time.sleep(0.25)


def behind(place: Place, pulls: Sequence[Pull]) -> list[str]:
    """Return what is not yet as the pull requests want it, in AWS, in the database or on GitHub; a line each."""
    live = live_numbers(place)
    found = [*_rows_behind(place)]
    for pull in pulls:
        wanted = pull.deploys if pull.open else None
        actual = next((number for stack, number in live.items() if stack.startswith(pull.stack)), None)
        if actual != (str(wanted) if wanted else None):
            found.append(f"{pull.name} should be {wanted or 'gone'} and is {actual or 'gone'}")
        found += _comment_behind(place, pull)
    return found


def live_numbers(place: Place) -> dict[str, str]:
    """Return, by stack, the number that it holds; what is not at rest says so instead."""
    cloudformation = place.client("cloudformation")
    ssm = place.client("ssm")
    found: dict[str, str] = {}
    for stack in cloudformation.describe_stacks()["Stacks"]:
        if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            found[stack["StackName"]] = stack["StackStatus"]
            continue
        name = next(output["OutputValue"] for output in stack["Outputs"] if output["OutputKey"] == "Parameter")
        try:
            found[stack["StackName"]] = ssm.get_parameter(Name=name)["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            found[stack["StackName"]] = "on its way out"
    return found


def left_in_aws(place: Place) -> list[str]:
    """Return everything that is in the account."""
    stacks = place.client("cloudformation").describe_stacks()["Stacks"]
    return [
        *(f"stack {stack['StackName']} {stack['StackStatus']}" for stack in stacks),
        *(f"bucket {each['Name']}" for each in place.client("s3").list_buckets()["Buckets"]),
        *(f"queue {url}" for url in place.client("sqs").list_queues().get("QueueUrls", [])),
        *(f"parameter {each['Name']}" for each in place.client("ssm").describe_parameters()["Parameters"]),
    ]


def change_sets_left(place: Place) -> list[str]:
    """Return the change sets that nobody executed and somebody still could."""
    cloudformation = place.client("cloudformation")
    return [
        f"{summary['StackName']}: {summary['ChangeSetName']}"
        for stack in cloudformation.describe_stacks()["Stacks"]
        for summary in cloudformation.list_change_sets(StackName=stack["StackName"])["Summaries"]
        if not summary.get("ExecutionStatus", "").startswith("EXECUTE_")
    ]


def wrong_runs(place: Place, killed: Iterable[int]) -> list[str]:
    """Return the runs that do not say how they ended, and those of killed processes that are not called lost."""
    with place.sessions() as session:
        open_ended = session.scalars(select(Run.id).where(Run.outcome.is_(None))).all()
        not_lost = session.execute(
            select(Run.id, Run.outcome).where(Run.id.in_(list(killed)), Run.outcome != Outcome.LOST)
        ).all()
    return [
        *(f"run {run} has no outcome" for run in open_ended),
        *(f"run {run} was killed and is {outcome}" for run, outcome in not_lost),
    ]


def written_by_two(place: Place) -> list[str]:
    """Return the steps that were written down under a fence after a higher one had been given its first run."""
    with place.sessions() as session:
        begun = select(Run.stage_id, Run.fence, func.min(Run.started_at).label("at")).group_by(Run.stage_id, Run.fence)
        newer = begun.subquery()
        late = session.execute(
            select(RunStep.token, Run.fence, newer.c.fence)
            .join(Run, RunStep.run_id == Run.id)
            .join(newer, (newer.c.stage_id == Run.stage_id) & (newer.c.fence > Run.fence))
            .where((RunStep.begun_at > newer.c.at) | (RunStep.finished_at > newer.c.at))
        ).all()
        ended_late = session.execute(
            select(Run.id, Run.fence, newer.c.fence)
            .join(newer, (newer.c.stage_id == Run.stage_id) & (newer.c.fence > Run.fence))
            .where(Run.finished_at > newer.c.at, Run.outcome != Outcome.LOST)
        ).all()
    return [
        *(f"{token} was written under fence {old} after {new} had begun" for token, old, new in late),
        *(f"run {run} ended under fence {old} after {new} had begun" for run, old, new in ended_late),
    ]


def fence_of(place: Place) -> Callable[[Call], int]:
    """Return what tells the fence of a call's run."""
    with place.sessions() as session:
        fences = {run.id: run.fence for run in session.scalars(select(Run))}
    return lambda call: fences[call.run]


def _rows_behind(place: Place) -> Iterator[str]:
    with place.sessions() as session:
        for stage in session.scalars(select(Stage)):
            if stage.done_generation < stage.wanted_generation or stage.holder:
                yield (
                    f"stage {stage.id} {stage.name}: wanted {stage.wanted_generation}, done {stage.done_generation}, "
                    f"fence {stage.fence}, holder {stage.holder}, attempts {stage.attempts}"
                )
        for source in session.scalars(select(Source).where(Source.done_generation < Source.generation)):
            yield f"source {source.kind} {source.ref}: generation {source.generation}, done {source.done_generation}"


def _comment_behind(place: Place, pull: Pull) -> Iterator[str]:
    comments = place.github.comments(pull.repository, pull.number)
    words = STATE_WORDS[StageState.LIVE if pull.open else StageState.REMOVED]
    if len(comments) != 1:
        yield f"{pull.name} has {len(comments)} comments"
    elif words not in comments[0]["body"]:
        state = next((word for word in STATE_WORDS.values() if word in comments[0]["body"]), "nothing of a state")
        yield f"the comment on {pull.name} says {state!r} and not {words!r}"
    elif (
        pull.open and (head := pull.repository.git.resolve(f"refs/heads/{pull.branch}"))[:7] not in comments[0]["body"]
    ):
        yield f"the comment on {pull.name} does not name {head[:7]}"
