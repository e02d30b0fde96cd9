"""The answer to CloudFormation, without which a stack would wait for an hour.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/crpg-ref-requests.html
"""

import json
import traceback
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

NOT_CREATED = "stagedoor:not-created"
"""The id of a resource whose creation failed: CloudFormation has it deleted, and there is nothing to delete."""

_REASON_LIMIT = 1500
"""The whole answer may have 4096 bytes."""


def answered(event: Mapping[str, Any], context: Any, work: Callable[[Mapping[str, Any]], str]) -> None:
    """Do what CloudFormation asks for, and tell it how that ended. `work` returns the resource's physical id."""
    physical = event.get("PhysicalResourceId", NOT_CREATED)
    try:
        if event["RequestType"] == "Delete" and physical == NOT_CREATED:
            answer = {"Status": "SUCCESS", "PhysicalResourceId": physical}
        else:
            answer = {"Status": "SUCCESS", "PhysicalResourceId": work(event)}
    except Exception as problem:
        traceback.print_exc()
        reason = f"{problem}"[:_REASON_LIMIT] or type(problem).__name__
        where = f"Log: {context.log_group_name} {context.log_stream_name}"
        answer = {"Status": "FAILED", "PhysicalResourceId": physical, "Reason": f"{reason}\n{where}"}
    _put(
        event["ResponseURL"],
        {**answer, **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}},
    )


def _put(url: str, answer: Mapping[str, Any]) -> None:
    # The URL is signed for a request without a content type.
    request = urllib.request.Request(url, json.dumps(answer).encode(), {"Content-Type": ""}, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass
