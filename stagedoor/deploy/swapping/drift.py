"""What hotswaps changed behind CloudFormation's back, and where that is written down.

CloudFormation still has the template from before a hotswap. A deploy that wants that template again, or one that
changes something else, would leave the swapped resources as they are: so each swap is written down where every
deployer of the stage looks, before its first call and after its last one.

A stage has one owner. One that a service deploys has its drift in the service's database; one that people deploy from
their machines has it in the account, in one parameter of the parameter store for each stack that drifted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.stacks import error_code
from stagedoor.naming import StageIdentity

RECORD_LIMIT = 4096
"""Characters of a standard parameter (https://docs.aws.amazon.com/systems-manager/latest/userguide/
parameter-store-advanced-parameters.html)."""

IN_DOUBT = ""
"""Stands for what a value is while it is being swapped, and where something else changed the stack meanwhile."""

_DIGEST_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Drift:
    """What of one stack is not as CloudFormation's template says.

    `swapped` maps logical ids to the paths that were changed (`Code`, `Environment.WORD`), and those to the digest of
    the expression that they were set to, or `IN_DOUBT`. `stack` is the stack's ARN and `base` the digest of its
    template at that time. `failed`: a swap did not succeed, so the stack goes by CloudFormation next.
    """

    stack: str = ""
    base: str = ""
    swapped: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failed: bool = False

    def __bool__(self) -> bool:
        return bool(self.swapped)

    def of(self, arn: str, template: Mapping[str, Any]) -> "Drift":
        """Return what it says of the stack as it now is. Another stack of that name has none of it. Where something
        other than us has changed the template since, nobody knows what that left of the swaps.
        """
        base = digest(template)
        if self.stack != arn:
            return Drift(arn, base)
        if self.base == base:
            return self
        doubts = {logical_id: dict.fromkeys(paths, IN_DOUBT) for logical_id, paths in self.swapped.items()}
        return replace(self, base=base, swapped=doubts)

    def with_resource(self, logical_id: str, paths: Mapping[str, str]) -> "Drift":
        """Return it with one resource's drifted paths replaced; without any, the resource has none."""
        others = {key: value for key, value in self.swapped.items() if key != logical_id}
        return replace(self, swapped={**others, logical_id: dict(paths)} if paths else others)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON; `drift_from` reads it again."""
        return {
            "stack": self.stack,
            "base": self.base,
            "swapped": {logical_id: dict(paths) for logical_id, paths in self.swapped.items()},
            "failed": self.failed,
        }

    @property
    def record(self) -> str:
        """It as text; at most `RECORD_LIMIT` characters can be written down."""
        return json.dumps(self.as_json(), separators=(",", ":"), sort_keys=True)


def drift_from(record: Mapping[str, Any]) -> Drift:
    """Return what `Drift.as_json` wrote; an empty record is no drift."""
    if not record:
        return Drift()
    return Drift(record["stack"], record["base"], record["swapped"], record["failed"])


def digest(value: Any) -> str:
    """Return the short digest by which two JSON values are told apart."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]


class Drifts(Protocol):
    """Where the drift of a stage's stacks is written down."""

    def read(self) -> Mapping[str, Drift]:
        """Return the drift of each stack that has any, by the stack's name."""

    def write(self, stack: str, drift: Drift) -> None:
        """Write a stack's drift down, durably; one without anything in it is forgotten."""


class DriftsUnreadable(Exception):
    """The deployer may not read what hotswaps left; so it does none, either."""


class ParameterDrifts:
    """The drift of a stage that no service deploys: `/stagedoor/hotswapped/<stage>-<digest of its tags>/<stack>`.

    Needs `ssm:GetParametersByPath`, `ssm:PutParameter` and `ssm:DeleteParameter` on that path. One call reads up to ten
    stacks that drifted, or says that none did.
    """

    def __init__(self, clients: Clients, identity: StageIdentity) -> None:
        self._clients = clients
        self._path = f"/stagedoor/hotswapped/{identity.stage}-{digest(identity.tags())}"

    def read(self) -> dict[str, Drift]:
        """Return the drift of each stack that has any. Raises `DriftsUnreadable`."""
        ssm = self._clients.client("ssm", Phase.DEPLOY)
        try:
            pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path=self._path))
        except ClientError as error:
            if error_code(error) in ("AccessDenied", "UnauthorizedOperation"):
                raise DriftsUnreadable(error.response["Error"]["Message"]) from None
            raise
        found = [parameter for page in pages for parameter in page["Parameters"]]
        return {one["Name"].rpartition("/")[2]: drift_from(json.loads(one["Value"])) for one in found}

    def write(self, stack: str, drift: Drift) -> None:
        """Put the stack's parameter, or delete it."""
        ssm = self._clients.client("ssm", Phase.DEPLOY)
        name = f"{self._path}/{stack}"
        if drift:
            ssm.put_parameter(Name=name, Value=drift.record, Type="String", Overwrite=True)
            return
        try:
            ssm.delete_parameter(Name=name)
        except ClientError as error:
            if error_code(error) != "ParameterNotFound":
                raise

    def forget_all(self) -> None:
        """Delete what is written of the stage's stacks, when they are gone."""
        for stack in self.read():
            self.write(stack, Drift())
