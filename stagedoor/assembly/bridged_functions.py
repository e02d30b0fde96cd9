"""What bridging says about a stage's functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

DEFAULT_TIMEOUT = 3
"""Seconds that a function may run whose template says nothing."""


@dataclass(frozen=True, slots=True)
class BridgedFunction:
    """A Lambda function of a stage, as its template has it.

    `stack` is the stack's id in the assembly and `nested` the logical ids of the nested stacks that lead to it.
    `timeout_s` is the function's own, in seconds, None where it cannot be told beforehand. `live`: it has a bridge;
    `reason` says why it has none, or, where it has one, what is to be known about it.
    """

    stack: str
    logical_id: str
    construct_path: str
    runtime: str = ""
    handler: str = ""
    timeout_s: int | None = DEFAULT_TIMEOUT
    live: bool = False
    reason: str = ""
    nested: tuple[str, ...] = ()

    def is_called(self, patterns: Iterable[str]) -> bool:
        """Whether one of the shell patterns (`Api*`) matches its logical id, construct path, or the last name in that.

        CDK calls the function of a construct `Resource`, and its logical id ends with eight digits of a hash.
        """
        path = self.construct_path.removesuffix("/Resource")
        names = (self.logical_id, path, path.rpartition("/")[2])
        return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
