"""Secrets and parameters that people set for stages, in the parameter store of Systems Manager.

An app's are below `naming.parameter_folder`: a stage's own in the folder of its name, those that hold for all stages
in `_fallback`. Code reads them itself when it runs (`stagedoor.runtime`); a deploy only asks whether they are set, so
their values are never in a template, a log or the service.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.resources import bindable_resources
from stagedoor.deploy.access import is_denied
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.stacks import error_code
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity, parameter_folder

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

FALLBACK = "_fallback"
"""The folder of what holds for all stages; no stage can be called so."""

VALUE_LIMIT = 4096
"""Bytes of a standard parameter (https://docs.aws.amazon.com/systems-manager/latest/userguide/
parameter-store-advanced-parameters.html)."""

_NAMES_A_CALL = 10
"""Names that `GetParameters` and `DeleteParameters` take."""


class ValueRefused(UserError):
    """A name or a value that cannot be that of a secret."""

    id = "secret-refused"


class SecretsNotSet(UserError):
    """The app needs secrets that nobody has set for the stage."""

    id = "secrets-not-set"


@dataclass(frozen=True, slots=True)
class SetValue:
    """Something that is set, without its value: for which stage, or `FALLBACK` for all, and when that was."""

    name: str
    stage: str
    secret: bool
    changed: datetime | None


class StageValues:
    """What is set for an app's stages in one account and region.

    Needs `ssm:GetParameters`, `ssm:GetParametersByPath`, `ssm:PutParameter` and `ssm:DeleteParameters` on `folder`.
    """

    def __init__(self, clients: Clients, folder: str) -> None:
        self.folder = folder
        self._clients = clients

    def put(self, stage: str, name: str, value: str, *, secret: bool = True) -> None:
        """Set a value. Raises `ValueRefused`."""
        check_value(name, value)
        path, kind = self._path(stage, name), _kind(secret)
        # A parameter's type cannot be changed by overwriting it.
        there = self._ssm.get_parameters(Names=[path])["Parameters"]
        if there and there[0].get("Type") != kind:
            self._ssm.delete_parameters(Names=[path])
        self._ssm.put_parameter(Name=path, Value=value, Type=kind, Overwrite=True)

    def get(self, stage: str, name: str) -> str | None:
        """Return a value as code of the stage has it: the stage's own, else the one of all stages."""
        own, fallback = self._path(stage, name), self._path(FALLBACK, name)
        names = list(dict.fromkeys((own, fallback)))
        found = self._ssm.get_parameters(Names=names, WithDecryption=True)["Parameters"]
        values = {one.get("Name"): one.get("Value") for one in found}
        return values.get(own) or values.get(fallback)

    def listed(self) -> list[SetValue]:
        """Return all that is set for stages of the app, by name and stage."""
        return sorted(self._below(self.folder), key=lambda one: (one.name, one.stage))

    def remove(self, stage: str, names: Collection[str]) -> list[str]:
        """Take away what is set for a stage under these names; return the names that there were."""
        gone: list[str] = []
        for some in _tens(self._path(stage, name) for name in names):
            gone += self._ssm.delete_parameters(Names=some)["DeletedParameters"]
        return [path.rpartition("/")[2] for path in gone]

    def forget_stage(self, stage: str) -> list[str]:
        """Take away all that is set for a stage alone, and return the names."""
        return self.remove(stage, [one.name for one in self._below(f"{self.folder}/{stage}")])

    def missing(self, stage: str, names: Iterable[str]) -> list[str]:
        """Return those of the names that are set neither for the stage nor for all."""
        wanted = list(names)
        paths = [self._path(where, name) for name in wanted for where in (stage, FALLBACK)]
        there = {one.get("Name") for some in _tens(paths) for one in self._ssm.get_parameters(Names=some)["Parameters"]}
        return [name for name in wanted if not {self._path(stage, name), self._path(FALLBACK, name)} & there]

    @property
    def _ssm(self) -> "SSMClient":
        return self._clients.client("ssm", Phase.DEPLOY)

    def _path(self, stage: str, name: str) -> str:
        return f"{self.folder}/{stage}/{name}"

    def _below(self, path: str) -> Iterator[SetValue]:
        pages = self._ssm.get_paginator("get_parameters_by_path").paginate(Path=path, Recursive=True)
        for one in (one for page in pages for one in page["Parameters"]):
            stage, _, name = one.get("Name", "").removeprefix(f"{self.folder}/").partition("/")
            yield SetValue(name, stage, one.get("Type") == "SecureString", one.get("LastModifiedDate"))


def check_value(name: str, value: str) -> None:
    """Raise `ValueRefused` for what cannot be set: code has to be able to write the name after a dot."""
    if not name.isidentifier() or not name.isascii() or name.startswith("_"):
        raise ValueRefused(
            f"{name!r} cannot be written as Secret.{name} in code.",
            "Use letters, digits and underscores, beginning with a letter.",
        )
    if not value:
        raise ValueRefused(f"The value of {name} is empty.", "The parameter store takes no empty values.")
    size = len(value.encode())
    if size > VALUE_LIMIT:
        raise ValueRefused(
            f"The value of {name} has {size:,} bytes; the parameter store takes {VALUE_LIMIT:,}.",
            "Keep long ones in Secrets Manager or a bucket, and bind those.",
        )


def needed_names(assembly: Assembly) -> list[str]:
    """Return the names that have to be set before the app's code can run: of secrets, and of parameters without a
    default. Those that aws-cdk-lib's constructs make have no fallback, and are set by their template.
    """
    return [
        one.name
        for one in bindable_resources(assembly)
        if one.kind in ("Secret", "Parameter") and "fallback_name" in one.properties and "default" not in one.properties
    ]


def check_secrets(assembly: Assembly, identity: StageIdentity, clients: Clients, emit: Emit) -> None:
    """Raise `SecretsNotSet` where the app's code needs what nobody has set, before anything is changed.

    One call for five names, and none for an app without any. A deployer that may not ask deploys nevertheless.
    """
    names = needed_names(assembly)
    if not names:
        return
    try:
        missing = StageValues(clients, folder_of(identity)).missing(identity.stage, names)
    except ClientError as error:
        if not is_denied(error):
            raise
        what = "Whether they are set could not be asked: ssm:GetParameters is not allowed."
        emit(Event(EventKind.WARNING, ", ".join(names), message=what))
        return
    if missing:
        whose = "" if identity.service == "local" else f" --repository {identity.repository}"
        commands = [f"stagedoor secrets set {name} --stage {identity.stage}{whose}" for name in missing]
        raise SecretsNotSet(
            f"The app needs {', '.join(missing)}, set neither for the stage {identity.stage} nor for all stages.",
            f"Set {'it' if len(missing) == 1 else 'them'}, with --fallback in place of --stage for all stages:\n"
            + "\n".join(f"  {command}" for command in commands),
        )


def forget_values(identity: StageIdentity, clients: Clients, emit: Emit) -> None:
    """Take away what was set for a stage that is gone; a stage that is to last keeps it, as it keeps its data."""
    if not identity.disposable:
        return
    try:
        StageValues(clients, folder_of(identity)).forget_stage(identity.stage)
    except ClientError as error:
        if not is_denied(error):
            raise
        what = f"What was set for the stage may be left in {folder_of(identity)}: {error_code(error)}."
        emit(Event(EventKind.WARNING, identity.stage, message=what))


def folder_of(identity: StageIdentity) -> str:
    """Return the app's folder in the parameter store."""
    return parameter_folder(identity.app, identity.repository)


def _kind(secret: bool) -> Literal["SecureString", "String"]:
    return "SecureString" if secret else "String"


def _tens(paths: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(paths)
    while some := list(islice(remaining, _NAMES_A_CALL)):
        yield some
