"""CloudFormation as a model: the tests' scripted account, with resources that take the time that they take on AWS.

How long a resource takes stands in its template (`SECONDS` in its metadata), and what it waits for in its `DependsOn`.
Where a number comes from stands beside it: timestamps of real deploys that people have published.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.httpsession import URLLib3Session

from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation, as_xml, structured
from tests.cloudformation.stack import Answer, Refused, ScriptedStack

SECONDS = "stagedoor:bench-seconds"

ROLE = 16.0  # aws/aws-cdk#7964: 7:35:25 to 7:35:41; 20 s in unbounce/iidy#145
POLICY = 15.0  # aws/aws-cdk#5910: 12:42:14 to 12:42:29
FUNCTION = 5.0  # tradle/mycloud#26: 19:23:01 to 19:23:06
LOG_GROUP = 1.0  # tradle/mycloud#26: 19:17:10 to 19:17:11
SECRET = 2.0  # aws/aws-cdk#7964: 7:35:25 to 7:35:27
CHANGE_SET = (6.0, 15.0)  # aws/aws-cdk#22079: what leaving change sets out saves, "6-15 seconds"

LATENCY = 0.08
"""Seconds of one call over the internet: an assumption, as it depends on where one sits."""


class SimulatedAccount(ScriptedAccount):
    """Stacks whose operations take as long as the longest chain of their resources."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self._due: dict[str, list[tuple[float, str]]] = {}
        self._pending: list[tuple[float, Callable[[], None]]] = []

    def _begin(self, stack: ScriptedStack, *args: Any, **more: Any) -> None:
        schedule = ends(stack.resources)
        self.seconds = max(schedule.values(), default=0.0)
        super()._begin(stack, *args, **more)
        now = time.monotonic()
        self._due[stack.arn] = sorted((now + end, logical_id) for logical_id, end in schedule.items())

    def _advance(self) -> None:
        now = time.monotonic()
        for stack in self.stacks.values():
            due = self._due.get(stack.arn, [])
            while stack.operation and due and due[0][0] <= now:
                self._event(stack, due.pop(0)[1], stack.operation.success, stack.operation.token)
        for entry in [entry for entry in self._pending if entry[0] <= now]:
            self._pending.remove(entry)
            entry[1]()
        super()._advance()

    def create_change_set(self, call: Answer) -> Answer:
        """Answer as the scripted account does, and be ready with the change set only later."""
        known = {one.arn for stack in self.stacks.values() for one in stack.change_sets.values()}
        answer = super().create_change_set(call)
        if answer["Id"] not in known:
            change_set = self.find(answer["StackId"]).change_sets[call["ChangeSetName"]]
            ready = (change_set.status, change_set.execution)
            change_set.status, change_set.execution = "CREATE_IN_PROGRESS", "UNAVAILABLE"

            def done() -> None:
                change_set.status, change_set.execution = ready

            self._pending.append((time.monotonic() + self._chance.uniform(*CHANGE_SET), done))
        return answer


def ends(resources: Mapping[str, Any]) -> dict[str, float]:
    """Return when each resource is complete, in seconds after its stack began."""
    known: dict[str, float] = {}

    def end(logical_id: str) -> float:
        if logical_id not in known:
            resource = resources[logical_id]
            begins = max((end(other) for other in resource.get("DependsOn", ())), default=0.0)
            known[logical_id] = begins + float(resource["Metadata"][SECONDS])
        return known[logical_id]

    return {logical_id: end(logical_id) for logical_id in resources}


def answer_in_this_process(endpoint: ScriptedCloudFormation) -> None:
    """Let every AWS client of this process be answered by `endpoint` after the latency of a call, without a socket."""

    def send(_: URLLib3Session, request: AWSPreparedRequest) -> AWSResponse:
        time.sleep(LATENCY)
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
        call = structured(parse_qsl(body, keep_blank_values=True))
        if "Action" not in call:
            return _response(request, 400, json.dumps({"__type": "ParameterNotFound"}))
        action = call["Action"]
        try:
            result = as_xml(endpoint.answer(call))
        except Refused as refusal:
            error = as_xml({"Error": {"Type": "Sender", "Code": refusal.code, "Message": str(refusal)}})
            return _response(request, 400, f"<ErrorResponse>{error}</ErrorResponse>")
        return _response(
            request, 200, f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
        )

    URLLib3Session.send = send  # type: ignore[method-assign, assignment]


class _Raw:
    def __init__(self, body: str) -> None:
        self._body = body.encode()

    def stream(self) -> list[bytes]:
        return [self._body]


def _response(request: AWSPreparedRequest, status: int, body: str) -> AWSResponse:
    return AWSResponse(request.url, status, HTTPHeaders(), _Raw(body))
