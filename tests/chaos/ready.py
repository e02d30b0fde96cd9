"""What a stack's wait conditions wait for: something that takes its time and then says that it is ready.

On AWS that would be an instance that starts; here it is a thread, so that deploys last long enough to be killed in.
"""

import random
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

_LOOK_SECONDS = 0.15


class Ready:
    """Signals each wait condition that waits, after a time by chance between `seconds`, which may be changed."""

    def __init__(
        self, cloudformation: "CloudFormationClient", chance: random.Random, seconds: tuple[float, float]
    ) -> None:
        self._cloudformation = cloudformation
        self._chance = chance
        self.seconds = seconds
        self._due: dict[tuple[str, str], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ready", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            listed = self._cloudformation.list_stacks(
                StackStatusFilter=["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"]
            )
            for stack in listed["StackSummaries"]:
                self._look_at(stack["StackId"])

    def _look_at(self, arn: str) -> None:
        try:
            events = self._cloudformation.describe_stack_events(StackName=arn)["StackEvents"]
        except ClientError:  # it has just gone
            return
        told: set[str] = set()
        for event in events:
            logical_id = event.get("LogicalResourceId", "")
            if event.get("ResourceType") != "AWS::CloudFormation::WaitCondition" or logical_id in told:
                continue
            told.add(logical_id)
            # The local AWS says UPDATE_IN_PROGRESS of one that an update makes; AWS says CREATE_IN_PROGRESS.
            if event.get("ResourceStatus") in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
                self._signal(arn, logical_id, event["EventId"])

    def _signal(self, arn: str, logical_id: str, event_id: str) -> None:
        due = self._due.setdefault((arn, event_id), time.monotonic() + self._chance.uniform(*self.seconds))
        if time.monotonic() < due:
            return
        try:
            self._cloudformation.signal_resource(
                StackName=arn, LogicalResourceId=logical_id, UniqueId="ready", Status="SUCCESS"
            )
        except ClientError:  # it does not wait any more
            return
