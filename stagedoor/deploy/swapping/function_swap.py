"""Changes one function through Lambda's own API, with its revision id as compare-and-swap.

Each changing call bears the `RevisionId` of the last look, and Lambda refuses it when anybody has changed the function
(https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html): so a frozen predecessor that is let go
changes nothing that its successor did. Code comes before configuration, and a version after both.
"""

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError, ParamValidationError

from stagedoor.assembly.expressions import Scope
from stagedoor.deploy.stacks import error_code
from stagedoor.deploy.swapping.hotswap import CODE, VARIABLE, VERSION, ResourceSwap
from stagedoor.deploy.swapping.references import resolve

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import FunctionConfigurationResponseTypeDef

PATIENCE = 600.0
"""Seconds that a function may take to become active: with a VPC or an image it takes minutes."""

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.1, 2.0, 1.2
_ATTEMPTS = 5
_CONFLICTS = frozenset({"PreconditionFailed", "ResourceConflict"})
_MARK = "Hotswapped by Stagedoor"
"""The description of the versions that a hotswap publishes, by which they are found again."""

_DEFAULTS: Mapping[str, Any] = {
    "Description": "",
    "EphemeralStorage": {"Size": 512},
    "Layers": [],
    "MemorySize": 128,
    "Timeout": 3,
}
"""What Lambda takes where a template says nothing
(https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-function.html)."""

_INLINE_FILES = {"python": "index.py", "nodejs": "index.js"}


class SwapFailed(Exception):
    """The service refused a swap or could not finish it; the message is its reason."""


class Swapping(Protocol):
    """One resource's swap. `touched` tells whether anything was changed, whatever `run` raised."""

    touched: bool

    def run(self) -> None:
        """Change what is to be changed. Raises `SwapFailed` and `ClientError`."""


@contextmanager
def touching(swapping: Swapping) -> Iterator[None]:
    """Frame a changing call: it counts as made unless the service has said that it did nothing."""
    before, swapping.touched = swapping.touched, True
    try:
        yield
    except ParamValidationError:
        swapping.touched = before
        raise
    except ClientError as error:
        # A call that took effect and whose answer was lost conflicts with itself when the SDK repeats it.
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        if status < 500 and error_code(error) not in _CONFLICTS:
            swapping.touched = before
        raise


@dataclass(frozen=True, slots=True)
class FunctionChange:
    """What is to be changed of a function, as Lambda's API takes it.

    `variables` maps names of environment variables to values, None where one goes. `publish` tells that a version is to
    be published; else `version` is the number of the one that the `aliases` shall stand for, if any.
    """

    name: str
    code: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)
    publish: bool = False
    version: str | None = None
    aliases: tuple[str, ...] = ()


def function_change(
    swap: ResourceSwap, properties: Mapping[str, Any], scope: Scope, aliases: Sequence[str]
) -> FunctionChange:
    """Return the change that takes a function to what is wanted. `properties` are those of the template it goes to and
    `aliases` the names of those that follow its version.

    Raises `Unresolvable`, `KeyError` where a resource that is referred to is not in the account, and `TypeError` or
    `ValueError` where a property is not what it should be.
    """
    values = {path: resolve(value, scope) for path, value in swap.wanted.items() if path != VERSION}
    code = dict(values.pop(CODE, None) or {})
    if "ZipFile" in code:
        code["ZipFile"] = inline_archive(code["ZipFile"], str(resolve(properties.get("Runtime", ""), scope)))
    variables = {
        path.removeprefix(VARIABLE): None if value is None else str(value)
        for path, value in values.items()
        if path.startswith(VARIABLE)
    }
    settings = {path: _setting(path, value) for path, value in values.items() if not path.startswith(VARIABLE)}
    version = swap.wanted.get(VERSION)
    physical = scope.known.get(version, "") if version else ""
    return FunctionChange(
        scope.known[swap.logical_id],
        code,
        {path: value for path, value in settings.items() if value is not None},
        variables,
        publish=version is not None and not physical,
        version=physical.rpartition(":")[2] or None,
        aliases=tuple(aliases),
    )


def inline_archive(source: str, runtime: str) -> bytes:
    """Return inline code as the archive that CloudFormation makes of it: one file called `index`."""
    name = next((file for family, file in _INLINE_FILES.items() if runtime.startswith(family)), "index.py")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o100644 << 16
        archive.writestr(entry, source)
    return packed.getvalue()


def _setting(path: str, value: Any) -> Any:
    """Return a setting as Lambda's API takes it: numbers may be text in a template."""
    value = _DEFAULTS.get(path) if value is None else value
    if path in ("MemorySize", "Timeout"):
        return int(value)
    return {"Size": int(value["Size"])} if path == "EphemeralStorage" else value


@dataclass(slots=True)
class FunctionSwap:
    """Makes a change, as a `Swapping`. `pause` waits so many seconds, and raises when the work is to stop."""

    client: "LambdaClient"
    change: FunctionChange
    pause: Callable[[float], None]
    touched: bool = False

    def run(self) -> None:
        """Change what is to be changed, and return when the function is active again.

        Each attempt looks anew, so one that was cut short goes on where it stopped. Raises `SwapFailed` and what
        `before_change` raises.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._attempt()
            except ClientError as error:
                # Somebody else changed the function, or a call took effect whose answer was lost.
                if error_code(error) not in _CONFLICTS or attempt == _ATTEMPTS - 1:
                    raise
                self.pause(_FIRST_PAUSE * (attempt + 1))
            else:
                return

    def _attempt(self) -> None:
        change, client = self.change, self.client
        function = self._settled()
        if change.code:
            # What is left out here would be the default, not what the function has.
            kept: dict[str, Any] = {"Architectures": function.get("Architectures", ["x86_64"])}
            with touching(self):
                client.update_function_code(
                    FunctionName=change.name, RevisionId=function["RevisionId"], **change.code, **kept
                )
            function = self._settled(updated=True)
        settings = {**change.settings, **self._environment(function)}
        if settings:
            with touching(self):
                client.update_function_configuration(
                    FunctionName=change.name, RevisionId=function["RevisionId"], **settings
                )
            function = self._settled(updated=True)
        version = change.version
        if change.publish:
            with touching(self):
                version = client.publish_version(
                    FunctionName=change.name, RevisionId=function["RevisionId"], Description=_MARK
                )["Version"]
            self._settled(version)
        if version:
            self._point_aliases(version)

    def _environment(self, function: "FunctionConfigurationResponseTypeDef") -> dict[str, Any]:
        """Return the whole environment, of which Lambda takes no part: what is not to be changed stays as it is."""
        if not self.change.variables:
            return {}
        now = function.get("Environment", {})
        if error := now.get("Error"):
            raise SwapFailed(f"its environment cannot be read: {error.get('Message', 'no reason was given')}")
        variables = {**now.get("Variables", {}), **self.change.variables}
        return {"Environment": {"Variables": {name: value for name, value in variables.items() if value is not None}}}

    def _settled(self, version: str = "$LATEST", *, updated: bool = False) -> "FunctionConfigurationResponseTypeDef":
        """Wait until nothing is under way with the function, and return it. After an update it must have gone well
        (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
        """
        waited, pause = 0.0, _FIRST_PAUSE
        while True:
            function = self.client.get_function_configuration(FunctionName=self.change.name, Qualifier=version)
            pending = function.get("State") == "Pending" or function.get("LastUpdateStatus") == "InProgress"
            if not pending:
                break
            if waited > PATIENCE:
                raise SwapFailed(f"it was not active after {PATIENCE:.0f} seconds")
            self.pause(pause)
            waited, pause = waited + pause, min(pause * _GROWTH, _LONGEST_PAUSE)
        if updated and function.get("LastUpdateStatus") == "Failed":
            raise SwapFailed(function.get("LastUpdateStatusReason") or "its update failed, and no reason was given")
        if updated and function.get("State") == "Failed":
            raise SwapFailed(function.get("StateReason") or "it failed, and no reason was given")
        return function

    def _point_aliases(self, version: str) -> None:
        """Let the aliases stand for the version, and delete the versions that earlier swaps published: while they are
        there, Lambda may refuse CloudFormation one that is like them.
        """
        name = self.change.name
        for alias in self.change.aliases:
            now = self.client.get_alias(FunctionName=name, Name=alias)
            if now["FunctionVersion"] != version:
                with touching(self):
                    self.client.update_alias(
                        FunctionName=name, Name=alias, FunctionVersion=version, RevisionId=now["RevisionId"]
                    )
        for page in self.client.get_paginator("list_versions_by_function").paginate(FunctionName=name):
            for one in page["Versions"]:
                if one.get("Description") == _MARK and one["Version"] not in ("$LATEST", version):
                    self._delete_version(one["Version"])

    def _delete_version(self, version: str) -> None:
        try:
            self.client.delete_function(FunctionName=self.change.name, Qualifier=version)
        except ClientError as error:
            if error_code(error) not in ("ResourceConflict", "ResourceNotFound"):  # an alias of somebody else's has it
                raise
