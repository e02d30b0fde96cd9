"""Where the credentials are kept: files that nobody else reads, the parameter store, or Secrets Manager."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stagedoor.errors import UserError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

KEY = "STAGEDOOR_GITHUB_PRIVATE_KEY"
_PRIVATE = 0o600
_KINDS = "a path, ssm:/PATH or secretsmanager:NAME"


class StoreUnusable(UserError):
    """The credentials cannot be kept where they are wanted."""

    id = "setup-store-unusable"


class Store(Protocol):
    """A place for secrets."""

    def check(self) -> None:
        """Raise `StoreUnusable` unless `put` will work, as far as can be known before."""

    def put(self, values: Mapping[str, str]) -> None:
        """Keep the values, by the names of the variables that the service reads."""

    @property
    def name(self) -> str:
        """Where it is, for people."""


def open_store(said: str, *, replace: bool) -> Store:
    """Return the store that an operator names; with `replace`, what is there may be overwritten."""
    kind, colon, name = said.partition(":")
    if kind == "ssm" and name.startswith("/"):
        return ParameterStore(name.rstrip("/"), replace=replace)
    if kind == "secretsmanager" and name:
        return SecretsManager(name, replace=replace)
    if colon or not said:
        raise StoreUnusable(f"{said!r} is no place for secrets.", f"Use {_KINDS}.")
    return Files(Path(said), replace=replace)


class Files:
    """A file of variables, and beside it the private key, as files of variables have no line breaks. Mode 0600."""

    def __init__(self, path: Path, *, replace: bool) -> None:
        self._variables = path.absolute()
        self._key = self._variables.with_suffix(".pem")
        self._replace = replace

    @property
    def name(self) -> str:
        """Both paths."""
        return f"{self._variables} and {self._key}"

    def check(self) -> None:
        """See that neither file is there, and that the folder can be written."""
        if self._variables == self._key:
            raise StoreUnusable(f"{self._key} is where the private key goes.", "Name a file that ends in .env.")
        for path in (self._variables, self._key):
            if path.is_dir():
                raise StoreUnusable(f"{path} is a folder.", "Name a file in it.")
            if os.path.lexists(path) and not self._replace:
                raise StoreUnusable(f"{path} is there already.", "Name another file, or say --replace.")
        if not os.access(self._variables.parent, os.W_OK):
            raise StoreUnusable(f"{self._variables.parent} cannot be written.", "Name a file in a folder of your own.")

    def put(self, values: Mapping[str, str]) -> None:
        """Write both files, or neither. Each is made with its mode, so nobody reads it in between, and takes its place
        when both are whole.
        """
        variables = {name: value for name, value in values.items() if name != KEY}
        variables[f"{KEY}_FILE"] = str(self._key)
        texts = {
            self._key: values[KEY],
            self._variables: "".join(f"{name}={value}\n" for name, value in variables.items()),
        }
        made: list[Path] = []
        try:
            for path, text in texts.items():
                new = path.with_name(f".{path.name}.{secrets.token_hex(4)}") if self._replace else path
                with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w") as file:
                    made.append(new)
                    file.write(text)
            for new, path in zip(made, texts, strict=True):
                new.replace(path)
        except BaseException as error:
            for new in made:
                new.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise StoreUnusable(
                    f"{error.filename or self._variables} cannot be written: {error.strerror}.",
                    "Name a file in a folder of your own.",
                ) from None
            raise


class ParameterStore:
    """Systems Manager's parameters, encrypted, one for each variable: what infra/ has ECS read."""

    def __init__(self, prefix: str, *, replace: bool) -> None:
        self._prefix = prefix
        self._replace = replace

    @property
    def name(self) -> str:
        """The folder."""
        return f"the parameter store, {self._prefix}/"

    def check(self) -> None:
        """See that AWS lets us in and that no parameter is there."""
        with _told():
            found = _client("ssm").get_parameters_by_path(Path=self._prefix, MaxResults=1)["Parameters"]
        if found and not self._replace:
            raise StoreUnusable(f"There are parameters in {self._prefix} already.", "Name another, or say --replace.")

    def put(self, values: Mapping[str, str]) -> None:
        """Put each value under its own name."""
        ssm = _client("ssm")
        with _told():
            for name, value in values.items():
                path = parameter_name(self._prefix, name)
                ssm.put_parameter(Name=path, Value=value, Type="SecureString", Overwrite=self._replace)


class SecretsManager:
    """One secret of Secrets Manager, a JSON object whose keys are the variables."""

    def __init__(self, name: str, *, replace: bool) -> None:
        self._name = name
        self._replace = replace

    @property
    def name(self) -> str:
        """The secret's."""
        return f"Secrets Manager, {self._name}"

    def check(self) -> None:
        """See that AWS lets us in and that the secret is not there."""
        if self._is_there() and not self._replace:
            raise StoreUnusable(f"The secret {self._name} is there already.", "Name another, or say --replace.")

    def put(self, values: Mapping[str, str]) -> None:
        """Make the secret, or give it a new version."""
        manager, text = _client("secretsmanager"), json.dumps(dict(values))
        with _told():
            if self._is_there():
                manager.put_secret_value(SecretId=self._name, SecretString=text)
            else:
                manager.create_secret(Name=self._name, SecretString=text)

    def _is_there(self) -> bool:
        from botocore.exceptions import ClientError

        with _told():
            try:
                _client("secretsmanager").describe_secret(SecretId=self._name)
            except ClientError as error:
                if _code(error) == "ResourceNotFoundException":
                    return False
                raise
        return True


def parameter_name(prefix: str, variable: str) -> str:
    """Return the parameter that has a variable: STAGEDOOR_GITHUB_APP_ID's is PREFIX/GithubAppId, as infra/ reads it."""
    words = variable.removeprefix("STAGEDOOR_").split("_")
    return f"{prefix}/{''.join(word.capitalize() for word in words)}"


class _told:  # noqa: N801 - reads as what it does: `with _told():`
    """AWS's refusals as an operator's errors, without what was sent."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _at: object) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, ClientError):
            what = f"AWS answered {_code(error)}."
        elif isinstance(error, BotoCoreError):
            what = f"AWS cannot be asked: {type(error).__name__}."
        else:
            return
        raise StoreUnusable(
            what, "Use credentials and a region (AWS_PROFILE, AWS_REGION) that may write there."
        ) from None


def _code(error: "ClientError") -> str:
    return str(error.response.get("Error", {}).get("Code", "an error"))


def _client(service: str) -> Any:
    import boto3  # only where AWS keeps them

    with _told():
        session: Any = boto3.Session()
        return session.client(service)
