"""What the script holds of each stack: its template, its change sets, its events, and what is under way."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ACCOUNT = "111122223333"
Answer = dict[str, Any]


class Refused(Exception):
    """CloudFormation's own answer to a call that it does not accept."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class ChangeSet:
    name: str
    arn: str
    template: str
    parameters: list[dict[str, str]]
    tags: list[dict[str, str]]
    token: str
    kind: str
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"
    reason: str = ""


@dataclass
class Operation:
    """Something under way: what it ends as, and when."""

    ends: float
    success: str
    failure: list[str]
    token: str
    apply: Callable[[], None]
    failing: tuple[str, str] | None = None


@dataclass
class ScriptedStack:
    name: str
    arn: str
    status: str
    template: str = "{}"
    parameters: list[dict[str, str]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    protected: bool = False
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    operation: Operation | None = None

    @property
    def resources(self) -> dict[str, Any]:
        return dict(json.loads(self.template or "{}").get("Resources", {}))

    @property
    def outputs(self) -> list[dict[str, str]]:
        found = json.loads(self.template or "{}").get("Outputs", {})
        return [
            {"OutputKey": key, "OutputValue": _text(output["Value"])}
            | ({"ExportName": output["Export"]["Name"]} if "Export" in output else {})
            for key, output in found.items()
        ]

    @property
    def exports(self) -> dict[str, str]:
        return {output["ExportName"]: output["OutputValue"] for output in self.outputs if "ExportName" in output}


def _text(value: Any) -> str:
    """Return an output's value: what is not plain text has one that only depends on how it is written."""
    return value if isinstance(value, str) else json.dumps(value)
