"""Objects of a JSON document by their shape: a frozen dataclass says what is expected of one, `read` makes one.

A field's type is one of JSON's (`str`, `bool`, `int`, `list`, `Mapping`), a `Literal`, another such dataclass, one of
these or `None`, or `Any`. `Annotated` holds the name that the document has for it, and a pattern that text must match
as a whole. Types are strict: no text is taken for a number, no number for true. Pydantic, which reads `stagedoor.toml`,
does this and far more; to load it would be a tenth of a command that finds nothing to do.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

_Shape = TypeVar("_Shape")
_Read = Callable[[Any], Any]
_NAMES = {str: "text", bool: "true or false", int: "a whole number"}


@dataclass(slots=True)
class NotOfShape(Exception):
    """A document differs from its shape: `where`, as the names and places that lead there, and how."""

    how: str
    path: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The place in the document, such as `files.abc.source`."""
        return ".".join(self.path)


class _Field(NamedTuple):
    name: str
    key: str
    read: _Read
    required: bool


def read(shape: type[_Shape], document: object, *, closed: bool = False) -> _Shape:
    """Return a document as `shape`. Raises `NotOfShape`; where it is `closed`, for names that no shape has, too."""
    found: _Shape = _object(shape, closed, document)
    return found


def _object(shape: Any, closed: bool, value: object) -> Any:
    if not isinstance(value, Mapping):
        raise NotOfShape("it is no object")
    known = _fields(shape, closed)
    given = {}
    for one in known:
        if one.key in value:
            given[one.name] = _within(one.key, one.read, value[one.key])
        elif one.required:
            raise NotOfShape("it is missing", (one.key,))
    if closed and (unknown := value.keys() - {one.key for one in known}):
        raise NotOfShape("it is not known", (min(unknown),))
    return shape(**given)


@cache
def _fields(shape: Any, closed: bool) -> tuple[_Field, ...]:
    """Return how each field of a shape is read."""
    return tuple(_described(shape, closed))


def _described(shape: Any, closed: bool) -> Iterator[_Field]:
    for field in fields(shape):
        notes = get_args(field.type)[1:] if get_origin(field.type) is Annotated else ()
        key = next((note for note in notes if isinstance(note, str)), field.name)
        required = field.default is MISSING and field.default_factory is MISSING
        yield _Field(field.name, key, _reader(field.type, closed), required)


def _reader(hint: Any, closed: bool) -> _Read:
    """Return what takes a value of a document for what a type says, or raises `NotOfShape`."""
    origin, parts = get_origin(hint), get_args(hint)
    one: _Read = partial(_plain, hint)
    if hint is Any:
        one = _anything
    elif is_dataclass(hint):
        one = partial(_object, hint, closed)
    elif origin is Annotated:
        pattern = next((note for note in parts[1:] if isinstance(note, re.Pattern)), None)
        inner = _reader(parts[0], closed)
        one = partial(_matching, pattern, inner) if pattern else inner
    elif origin is Literal:
        one = partial(_one_of, parts)
    elif origin is UnionType:
        (kind,) = (part for part in parts if part is not NoneType)
        one = partial(_or_null, _reader(kind, closed))
    elif origin is list:
        one = partial(_list, _reader(parts[0], closed))
    elif origin is Mapping:
        one = partial(_mapping, _reader(parts[1], closed))
    return one


def _within(key: str, one: _Read, value: object) -> Any:
    try:
        return one(value)
    except NotOfShape as error:
        error.path = (key, *error.path)
        raise


def _anything(value: object) -> object:
    return value


def _plain(kind: type[Any], value: object) -> object:
    if type(value) is not kind:
        raise NotOfShape(f"it is not {_NAMES[kind]}")
    return value


def _or_null(one: _Read, value: object) -> Any:
    return None if value is None else one(value)


def _one_of(choices: tuple[str, ...], value: object) -> object:
    if value not in choices:
        raise NotOfShape(f"it is none of {', '.join(choices)}")
    return value


def _matching(pattern: re.Pattern[str], one: _Read, value: object) -> Any:
    found = one(value)
    if found is not None and not pattern.fullmatch(found):
        raise NotOfShape(f"it does not match {pattern.pattern}")
    return found


def _list(one: _Read, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise NotOfShape("it is no list")
    return [_within(str(place), one, part) for place, part in enumerate(value)]


def _mapping(one: _Read, value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise NotOfShape("it is no object")
    return {key: _within(key, one, part) for key, part in value.items()}
