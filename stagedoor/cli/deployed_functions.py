"""The Lambda functions of a deployed stage, and how a person names them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import construct_paths_of, resources
from stagedoor.cli.deployed_stage import Looking
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import read_template
from stagedoor.errors import UserError

_FUNCTION, _NESTED = "AWS::Lambda::Function", "AWS::CloudFormation::Stack"
_OF_OURS = re.compile(r"(/Function)?(/Resource)?$")
_DIGITS = re.compile(r"[0-9A-F]{8}$")
_READERS = 8


class UnknownFunction(UserError):
    """No function of the stage is called so, or several are."""

    id = "unknown-function"


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A Lambda function in the account: `name` is the one that Lambda knows."""

    name: str
    logical_id: str
    construct_path: str = ""
    handler: str = ""

    @property
    def path(self) -> str:
        """The path of the construct that the app wrote: CDK's `Resource`, and the `Function` in ours, left out."""
        return _OF_OURS.sub("", self.construct_path) or _DIGITS.sub("", self.logical_id)

    def is_called(self, pattern: str) -> bool:
        """Whether a shell pattern matches one of its names: its construct's path or the last part of that, its handler
        (`notes.list`), its logical id, its name in AWS.
        """
        whole = self.construct_path.removesuffix("/Resource")
        paths = (self.path, self.path.rpartition("/")[2], whole, whole.rpartition("/")[2])
        names = (*paths, self.handler, self.logical_id, self.name)
        return any(fnmatchcase(name, pattern) for name in names)


def deployed_functions(looking: Looking) -> list[DeployedFunction]:
    """Return all functions of a stage, nested stacks included, those that CDK itself adds last.

    A nested stack has the tags of the one that it is in, so it is found by itself and by that one: each function once.
    """
    arns = [stack.arn for stack in looking.stage.stacks]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="functions") as readers:
        read = readers.map(lambda arn: list(_read(looking.clients, arn)), arns)
        found = {one.name: one for functions in read for one in functions}
    return sorted(found.values(), key=lambda one: (one.logical_id.startswith(("Custom", "LogRetention")), one.path))


def matching(functions: Sequence[DeployedFunction], pattern: str) -> list[DeployedFunction]:
    """Return the functions that a pattern names. Raises `UnknownFunction` where there is none."""
    found = [one for one in functions if one.is_called(pattern)]
    if not found:
        raise UnknownFunction(f"No function of the stage is called {pattern!r}.", _there_are(functions))
    return found


def the_one(functions: Sequence[DeployedFunction], pattern: str) -> DeployedFunction:
    """Return the only function that a pattern names. Raises `UnknownFunction`."""
    found = matching(functions, pattern)
    if len(found) > 1:
        raise UnknownFunction(
            f"{pattern!r} names several functions.", f"Name one of {', '.join(o.path for o in found)}."
        )
    return found[0]


def short_names(functions: Sequence[DeployedFunction]) -> Mapping[str, str]:
    """Return what each function is called on the screen, by its name in AWS: the last part of its path where clear."""
    last = [one.path.rpartition("/")[2] for one in functions]
    return {one.name: short if last.count(short) == 1 else one.path for one, short in zip(functions, last, strict=True)}


def _there_are(functions: Sequence[DeployedFunction]) -> str:
    return f"There are: {', '.join(one.path for one in functions)}." if functions else "It has no functions at all."


def _read(clients: Clients, arn: str) -> Iterator[DeployedFunction]:
    """Yield the functions of a stack and of the stacks in it."""
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=arn)
    there = [one for page in pages for one in page["StackResourceSummaries"] if one.get("PhysicalResourceId")]
    template: Template = {}
    if any(one["ResourceType"] == _FUNCTION for one in there):
        template = dict(read_template(clients, arn) or {})
    paths, properties = (
        construct_paths_of(template),
        {name: one.get("Properties", {}) for name, one in resources(template)},
    )
    for one in there:
        if one["ResourceType"] == _FUNCTION:
            logical_id = one["LogicalResourceId"]
            handler = properties.get(logical_id, {}).get("Handler")
            yield DeployedFunction(
                one.get("PhysicalResourceId", ""),
                logical_id,
                paths.get(logical_id, ""),
                handler if isinstance(handler, str) else "",
            )
        elif one["ResourceType"] == _NESTED:
            yield from _read(clients, one.get("PhysicalResourceId", ""))
