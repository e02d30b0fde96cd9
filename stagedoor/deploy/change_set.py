"""Changing a stack by a change set, which is diff and compare-and-swap in one.

Executing one change set deletes or obsoletes the stack's others, and one that is no longer there cannot be executed
(https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html). So that it holds, too,
while nothing was executed in between, and on emulators that do not refuse an obsolete one, whoever takes a stack up
first deletes the change sets that its predecessors left: a frozen predecessor that is let go finds nothing to execute.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients
from stagedoor.deploy.failure import change_set_refused
from stagedoor.deploy.ledger import Step
from stagedoor.deploy.pace import Pace
from stagedoor.deploy.request import Begun, Nothing, Request, change_set_name, is_race, says_nothing_to_do
from stagedoor.deploy.stacks import (
    GONE,
    REVIEW,
    ActualStack,
    error_code,
    is_missing,
    waiting_change_sets,
)
from stagedoor.deploy.together import Work, ask

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import DescribeChangeSetOutputTypeDef

_OBSOLETE = frozenset({"InvalidChangeSetStatus", "ChangeSetNotFound"})


def begin_by_change_set(request: Request, actual: ActualStack | None) -> Work[Begun | Nothing]:
    """Make a change set and begin to execute it. Raises `DeployFailed` for what CloudFormation refuses."""
    creating = actual is None or actual.status in (GONE, REVIEW)
    step = yield from _create(request, actual, creating=creating)
    if step is None:
        return Nothing.YET
    described = yield from _await_creation(request, step)
    if described is None:
        request.ledger.finish(step, "refused", {})
        return Nothing.YET
    if described["Status"] == "FAILED":
        return (yield from _nothing_or_failed(request, step, described))
    request.ledger.finish(step, "done", {"arn": described.get("StackId", "")})
    return (yield from _execute(request, described))


def discard_change_sets(clients: Clients, actual: ActualStack) -> bool:
    """Delete what predecessors left; False when one of them is being executed."""
    for name in waiting_change_sets(clients, actual.name):
        try:
            clients.cloudformation.delete_change_set(StackName=actual.arn, ChangeSetName=name)
        except ClientError as error:
            if error_code(error) not in _OBSOLETE:
                raise
            return False
    return True


def _create(request: Request, actual: ActualStack | None, *, creating: bool) -> Work[Step | None]:
    kind = "CREATE" if creating else "UPDATE"
    step = request.ledger.begin(
        "create-change-set", request.wanted.name, {"type": kind, "arn": actual.arn if actual else None}
    )
    arguments = request.arguments(None if creating else actual) | {
        "ChangeSetName": change_set_name(step.token),
        "ClientToken": step.token,
        "ChangeSetType": kind,
    }
    try:
        yield from ask(lambda: request.clients.cloudformation.create_change_set(**arguments))
    except ClientError as error:
        if error_code(error) == "AlreadyExists" and (not creating or change_set_name(step.token) in str(error)):
            return step  # a retried call whose first answer was lost
        refusal = request.refusal(step, error)
        if is_race(error):
            return None
        raise refusal from None
    return step


def _await_creation(request: Request, step: Step) -> Work["DescribeChangeSetOutputTypeDef | None"]:
    pace = Pace(request.clients.looks)
    while True:
        try:
            described = yield from ask(
                lambda: request.clients.cloudformation.describe_change_set(
                    StackName=request.wanted.name, ChangeSetName=change_set_name(step.token)
                )
            )
        except ClientError as error:
            if error_code(error) in _OBSOLETE or is_missing(error):
                return None
            raise
        if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
            return described
        yield pace.next(news=False)


def _nothing_or_failed(request: Request, step: Step, described: "DescribeChangeSetOutputTypeDef") -> Work[Nothing]:
    reason = described.get("StatusReason", "")
    empty = says_nothing_to_do(reason)
    request.ledger.finish(step, "done" if empty else "failed", {"reason": reason})
    if not empty:  # what failed is left to be looked at; the next deploy takes it away
        raise (
            yield from ask(
                lambda: change_set_refused(request.clients, request.wanted.stack, described["ChangeSetId"], reason)
            )
        )
    yield from ask(
        lambda: request.clients.cloudformation.delete_change_set(
            StackName=request.wanted.name, ChangeSetName=described["ChangeSetName"]
        )
    )
    return Nothing.TO_DO


def _execute(request: Request, described: "DescribeChangeSetOutputTypeDef") -> Work[Begun | Nothing]:
    arn, change_set = described["StackId"], described["ChangeSetId"]
    step = request.ledger.begin("execute-change-set", request.wanted.name, {"arn": arn, "id": change_set})
    try:
        yield from ask(
            lambda: request.clients.cloudformation.execute_change_set(
                StackName=arn, ChangeSetName=change_set, ClientRequestToken=step.token
            )
        )
    except ClientError as error:
        refusal = request.refusal(step, error)
        if error_code(error) in _OBSOLETE or is_race(error):
            return Nothing.YET
        raise refusal from None
    return Begun(arn, step)
