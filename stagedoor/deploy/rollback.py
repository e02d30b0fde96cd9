"""The way out of UPDATE_ROLLBACK_FAILED: CloudFormation goes on with the rollback, without what cannot be rolled back.

Rules: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ContinueUpdateRollback.html. Only resources
whose rollback failed may be skipped, not those whose update was cancelled; one in a nested stack goes by that stack's
name. A skipped resource stays as it is, and CloudFormation takes it for what the old template says.
"""

from typing import Any

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients
from stagedoor.deploy.request import Request, is_race
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.together import Work, ask
from stagedoor.deploy.watch import Watch
from stagedoor.events import Emit, Event, EventKind

ROLLED_BACK = "UPDATE_ROLLBACK_COMPLETE"
STUCK = "UPDATE_ROLLBACK_FAILED"
_NESTED = "AWS::CloudFormation::Stack"
_CANCELLED = "cancelled"


def continue_rollback(request: Request, actual: ActualStack, watch: Watch, emit: Emit) -> Work[ActualStack]:
    """Let the rollback go on: first as it is, then without the resources that it failed for, which are told.

    Returns the stack as it is then. Raises `DeployFailed` for what CloudFormation refuses.
    """
    after = yield from _continue(request, actual, watch, [])
    if after.status != STUCK:
        return after
    stuck = yield from ask(lambda: stuck_resources(request.clients, actual.arn))
    if not stuck:
        return after
    names = ", ".join(stuck)
    what = f"The last update of this stack could not be rolled back for {names}."
    emit(Event(EventKind.WARNING, actual.name, message=f"{what} They are left as they are, and updated from there."))
    return (yield from _continue(request, after, watch, stuck))


def stuck_resources(clients: Clients, arn: str, prefix: str = "") -> list[str]:
    """Return the resources for which a rollback failed, nested stacks' too, as `ResourcesToSkip` takes them."""
    stuck: list[str] = []
    for page in clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=arn):
        for summary in page["StackResourceSummaries"]:
            reason = summary.get("ResourceStatusReason", "")
            if summary["ResourceStatus"] != "UPDATE_FAILED" or _CANCELLED in reason:
                continue
            inner: list[str] = []
            nested = summary.get("PhysicalResourceId", "")
            if summary["ResourceType"] == _NESTED and nested.startswith("arn:"):
                inner = stuck_resources(clients, nested, f"{nested.split('/')[1]}.")
            stuck += inner or [prefix + summary["LogicalResourceId"]]
    return stuck


def _continue(request: Request, actual: ActualStack, watch: Watch, skipped: list[str]) -> Work[ActualStack]:
    without: dict[str, Any] = {"ResourcesToSkip": skipped} if skipped else {}
    step = request.ledger.begin("continue-update-rollback", actual.name, {"arn": actual.arn, **without})
    yield from watch.begin(step.token)
    cloudformation = request.clients.cloudformation
    try:
        yield from ask(
            lambda: cloudformation.continue_update_rollback(
                StackName=actual.arn, ClientRequestToken=step.token, **without, **request.role()
            )
        )
    except ClientError as error:
        refusal = request.refusal(step, error)
        if is_race(error):
            return actual
        raise refusal from None
    after = yield from watch.until_finished()
    request.finish(step, after, done=after.status == ROLLED_BACK)
    return after
