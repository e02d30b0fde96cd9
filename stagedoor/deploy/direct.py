"""Changing a stack at once, by CreateStack and UpdateStack.

One call in place of a change set's three or more. There is no compare-and-swap in an update of this kind, so it is for
whoever is alone with a stage: the command line, which holds no lease. A creation needs none: a name is taken once.
"""

from botocore.exceptions import ClientError

from stagedoor.deploy.request import Begun, Nothing, Request, is_race, says_nothing_to_do
from stagedoor.deploy.stacks import GONE, ActualStack
from stagedoor.deploy.together import Work, ask


def begin_directly(request: Request, actual: ActualStack | None) -> Work[Begun | Nothing]:
    """Begin to create the stack, or to update it. Raises `DeployFailed` for what CloudFormation refuses."""
    creating = actual is None or actual.status == GONE
    operation = "create-stack" if creating else "update-stack"
    step = request.ledger.begin(operation, request.wanted.name, {"arn": actual.arn if actual else None})
    arguments = request.arguments(None if creating else actual) | {"ClientRequestToken": step.token}
    cloudformation = request.clients.cloudformation
    try:
        if creating:
            protected = request.wanted.stack.termination_protection
            answer = yield from ask(
                lambda: cloudformation.create_stack(**arguments, EnableTerminationProtection=protected)
            )
            return Begun(answer["StackId"], step)
        updated = yield from ask(lambda: cloudformation.update_stack(**arguments))
        return Begun(updated["StackId"], step)
    except ClientError as error:
        if says_nothing_to_do(error.response["Error"]["Message"]):
            request.ledger.finish(step, "done", {"reason": error.response["Error"]["Message"]})
            return Nothing.TO_DO
        refusal = request.refusal(step, error)
        if is_race(error):
            return Nothing.YET
        raise refusal from None
