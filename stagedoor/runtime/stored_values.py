"""Values of secrets and parameters, from the parameter store of Systems Manager.

The first value that is asked for brings all that the function is bound to, in as few calls as there can be: one takes
ten names (https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html), and a value has two,
the stage's own and the one that all stages fall back on. They are kept for five minutes, so that one that was changed
arrives without a deploy. Where they cannot be had again, those that are known serve on, and the log says so.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from stagedoor.runtime.variables import STORED, bound, properties_of

KEPT_SECONDS = 300
RETRY_SECONDS = 30
"""How long values are used, and how long those serve that could not be had again until it is tried once more."""

_NAMES_A_CALL = 10
_log = logging.getLogger("stagedoor.runtime")

Read = Callable[[list[str]], Mapping[str, str]]
"""Takes names of parameters, and returns the values of those that there are."""


class ValueNotSet(RuntimeError):
    """Nobody has set the secret or parameter, neither for the stage nor for all."""


class ValueNotRead(RuntimeError):
    """The parameter store could not be read, and no value is known from before."""


class Boto3Missing(ValueNotRead):
    """The AWS SDK is not installed where this runs."""


class StoredValues:
    """The values that a process has; safe to share between threads."""

    def __init__(self, read: Read, now: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._now = now
        self._values: dict[str, str] = {}
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def value(self, kind: str, name: str, properties: Mapping[str, Any]) -> str:
        """Return a value. Raises `ValueNotSet`, `ValueNotRead`."""
        own, fallback = names_of(properties)
        # Whoever finds old values while they are being fetched goes on with them; only the first has to wait.
        if self._is_old(own) and self._lock.acquire(blocking=own not in self._until):
            try:
                if self._is_old(own):
                    self._fetch(kind, name, own, fallback)
                    if "default" in properties:
                        self._until[own] = max(self._until.get(own, 0), self._now() + RETRY_SECONDS)
            finally:
                self._lock.release()
        values = self._values
        for stored in (own, fallback):
            if stored in values:
                return values[stored]
        if "default" in properties:
            return str(properties["default"])
        raise ValueNotSet(_not_set(kind, name, own, fallback))

    def _is_old(self, own: str) -> bool:
        return self._now() >= self._until.get(own, 0)

    def _fetch(self, kind: str, name: str, own: str, fallback: str) -> None:
        wanted = {own: fallback, **dict(_all_bound())}
        names = list(dict.fromkeys(each for pair in wanted.items() for each in pair if each))
        try:
            found: dict[str, str] = {}
            for first in range(0, len(names), _NAMES_A_CALL):
                found.update(self._read(names[first : first + _NAMES_A_CALL]))
        except Boto3Missing:
            raise
        except Exception as error:
            if own not in self._values and fallback not in self._values:
                raise ValueNotRead(
                    f"{kind}.{name} could not be read from the parameter store: {error}. "
                    f"A function may read it where it is made with bind=[…], and `stagedoor shell` has it for others."
                ) from error
            _log.warning("Secrets could not be fetched anew; those of before serve on: %s", error)
            self._until.update(dict.fromkeys(wanted, self._now() + RETRY_SECONDS))
            return
        kept = {each: value for each, value in self._values.items() if each not in names}
        self._values = {**kept, **found}
        set_ones = (each for each, other in wanted.items() if each in found or other in found)
        # One that nobody has set is asked for each time, so that it is there as soon as somebody has.
        self._until.update(dict.fromkeys(set_ones, self._now() + KEPT_SECONDS))


def names_of(properties: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names in the parameter store: the stage's own, and what all stages fall back on, empty for none."""
    return str(properties["parameter_name"]), str(properties.get("fallback_name") or "")


def _all_bound() -> Iterator[tuple[str, str]]:
    for kind, name in bound():
        if kind in STORED:
            properties = properties_of(kind, name)
            if "value" not in properties:
                yield names_of(properties)


def _not_set(kind: str, name: str, own: str, fallback: str) -> str:
    if not fallback:
        return f"{kind}.{name} is not set: there is no {own} in the parameter store."
    return f"{kind}.{name} is not set. Set it: stagedoor secrets set {name} --stage {own.split('/')[-2]}"


def read_parameters(names: Iterable[str]) -> dict[str, str]:
    """Return values from the parameter store, decrypted. Region and endpoint are the environment's."""
    try:
        import boto3
    except ModuleNotFoundError:
        raise Boto3Missing(
            "boto3 is not installed here, and the values of secrets come by it. Lambda's Python has it; elsewhere add "
            "it to what is installed for development, or give the values by stagedoor.runtime.testing.bindings(…)."
        ) from None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    client = boto3.client("ssm", region_name=region)
    answer = client.get_parameters(Names=list(names), WithDecryption=True)
    return {one["Name"]: one["Value"] for one in answer["Parameters"]}


VALUES = StoredValues(read_parameters)
