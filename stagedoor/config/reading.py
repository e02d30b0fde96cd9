"""From the bytes of `stagedoor.toml` to a `Config`, or to every mistake in it at once."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stagedoor.config.model import AppConfig, Config, Live, LiveFunctionRule, Outputs, Previews, StageRule
from stagedoor.config.places import Path, Places, places_of
from stagedoor.errors import Location, UserError

SIZE_LIMIT = 64 * 1024
"""Bytes. Larger than any configuration, small enough to be read in a webhook's shadow."""

DOTS_LIMIT = 256
"""In one line. Python's parser takes time that grows with the square of a dotted key's parts: a minute at 64 KiB."""

PROBLEM_LIMIT = 50
"""As many as GitHub takes in one call for a check run's annotations
(https://docs.github.com/rest/checks/runs#update-a-check-run)."""

_OPERATORS_KEYS = frozenset(
    {
        "account",
        "account_id",
        "deploy_role",
        "execution_role",
        "external_id",
        "lookup_role",
        "partition",
        "permissions_boundary",
        "profile",
        "publish_role",
        "qualifier",
        "region",
        "role",
        "role_arn",
        "trust",
    }
)
_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a number"),
    (float, "a number"),
    (dict, "a table"),
    (list, "a list"),
)
_EXPECTED = {
    "bool_type": "Write true or false, without quotes.",
    "string_type": 'Write text in quotes: "…".',
    "tuple_type": 'Write a list of texts: ["…", "…"].',
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the file: where, what is wrong, what would be right."""

    location: Location
    what: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.location.path}:{self.location.line}:{self.location.column}"
        return f"{where}: {self.what} {self.remedy}"


class ConfigInvalid(UserError):
    """`stagedoor.toml` cannot be understood. `problems` are all of its mistakes, at most `PROBLEM_LIMIT`, in order."""

    id = "config-invalid"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        others = len(problems) - 1
        more = f" There {'is' if others == 1 else 'are'} {others} more like this." if others else ""
        super().__init__(
            f"{first.location.path}, line {first.location.line}: {first.what}",
            first.remedy + more,
            detail="\n".join(map(str, problems)),
            location=first.location,
        )
        self.problems = problems


def default_config(has_cdk_json: bool) -> Config | None:
    """Return what holds for a repository without the file: the defaults where it has a `cdk.json`, else silence."""
    return Config() if has_cdk_json else None


def parse_config(text: bytes | str, path: str = "stagedoor.toml") -> Config:
    """Return what the file says. `path` is how the file is called in messages. Raises `ConfigInvalid`, nothing else."""
    document = _decoded(text, path)
    _refuse_long_keys(document, path)
    try:
        values = tomllib.loads(document)
        places = places_of(document)
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid((_syntax_problem(str(error), document, path),)) from None
    except RecursionError:
        raise _unreadable(path, "The file nests too deep to be read.", "Take some brackets away.") from None
    except ValueError:  # Python refuses to convert a number of thousands of digits
        raise _unreadable(path, "A number in the file is too long to be read.", "Take some digits away.") from None
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)[:PROBLEM_LIMIT]
        problems = (_problem(details, places, path) for details in found)
        in_order = sorted(problems, key=lambda problem: (problem.location.line, problem.location.column))
        raise ConfigInvalid(tuple(in_order)) from None


def _refuse_long_keys(document: str, path: str) -> None:
    for number, line in enumerate(document.split("\n"), 1):
        if line.count(".") > DOTS_LIMIT:
            what = f"This line has more than {DOTS_LIMIT} dots in it."
            raise ConfigInvalid((Problem(Location(path, number), what, "Break it into several."),))


def _problem(details: ErrorDetails, places: Places, path: str) -> Problem:
    what, remedy, is_key = _explained(details)
    loc = tuple(part for part in details["loc"] if part != "[key]")
    line, column = places.of_key(loc) if is_key else places.of_value(loc)
    return Problem(Location(path, line, column), what, remedy)


def _decoded(text: bytes | str, path: str) -> str:
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(data) > SIZE_LIMIT:
        raise _unreadable(path, f"The file is larger than {SIZE_LIMIT // 1024} KiB.", "Make it smaller.")
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = len(text[text.rfind(b"\n", 0, error.start) + 1 : error.start].decode(errors="replace")) + 1
        problem = Problem(
            Location(path, line, column), "This is not UTF-8, as TOML has to be.", "Save the file as UTF-8."
        )
        raise ConfigInvalid((problem,)) from None


def _unreadable(path: str, what: str, remedy: str) -> ConfigInvalid:
    return ConfigInvalid((Problem(Location(path), what, remedy),))


def _syntax_problem(message: str, document: str, path: str) -> Problem:
    """Take line and column out of the parser's message, the only place where Python before 3.14 has them."""
    what, _, where = message.rpartition(" (")
    if found := re.fullmatch(r"at line (\d+), column (\d+)\)", where):
        line, column = int(found[1]), int(found[2])
    else:
        lines = document.replace("\r\n", "\n").rstrip("\n").split("\n")
        line, column = len(lines), len(lines[-1]) + 1
    return Problem(
        Location(path, line, column), f"This is not TOML: {what[:1].lower()}{what[1:]}.", "See https://toml.io."
    )


def _explained(details: ErrorDetails) -> tuple[str, str, bool]:
    """Return what is wrong, what would be right, and whether the key is to blame rather than its value."""
    loc = details["loc"]
    kind = details["type"]
    name = _written(tuple(part for part in loc if part != "[key]"))
    if kind == "extra_forbidden":
        return (*_unknown_key(loc, name), True)
    if kind == "refused":
        context = details["ctx"]
        return f"`{name}`: {context['what']}", str(context["remedy"]), loc[-1] == "[key]"
    if kind == "literal_error":
        return f"`{name}` cannot be this.", f"Write {details['ctx']['expected'].replace(chr(39), chr(34))}.", False
    if kind == "too_long":
        return f"`{name}` is too long a list.", f"List at most {details['ctx']['max_length']}.", False
    remedy = _EXPECTED.get(kind, f"Write a table: [{name}].")
    return f"`{name}` is {_type_name(details['input'])}.", remedy, False


def _unknown_key(loc: Path, name: str) -> tuple[str, str]:
    key = str(loc[-1])
    if key in _OPERATORS_KEYS:
        return (
            f"`{name}` is not for a repository to say: whoever operates the service decides about accounts and roles.",
            'In [stages.<pattern>], choose one of the granted targets by its name: target = "…".',
        )
    known = list(_table_at(loc[:-1]).model_fields)
    close = get_close_matches(key, known, n=1) if len(key) <= 40 else []
    if close:
        return f"`{name}` is not known.", f"Did you mean `{close[0]}`?"
    return f"`{name}` is not known.", f"Known here: {', '.join(f'`{each}`' for each in known)}."


def _table_at(path: Path) -> type[BaseModel]:
    """Return the model of the table at this path."""
    for keys, model in _TABLES:
        if len(keys) == len(path) and all(key in (None, part) for key, part in zip(keys, path, strict=True)):
            return model
    return Config


_TABLES: tuple[tuple[tuple[str | None, ...], type[BaseModel]], ...] = (
    (("apps", None), AppConfig),
    (("stages", None), StageRule),
    (("previews",), Previews),
    (("outputs",), Outputs),
    (("live",), Live),
    (("live", "functions", None), LiveFunctionRule),
)
"""What tables hold; None stands for a name of the author's own."""


def _written(path: Path) -> str:
    """Return the path as one would write it in TOML, list places in brackets: `previews.branches[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            plain = part[:60] if re.fullmatch(r"[A-Za-z0-9_-]+", part) else repr(part[:60])
            text += f".{plain}" if text else plain
    return text


def _type_name(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "a date or time")
