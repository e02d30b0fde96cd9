"""`typing.NamedTuple` without `typing`, whose import would be a tenth of all that a cold start waits for a bridge."""

from __future__ import annotations

__all__ = ["TYPE_CHECKING", "NamedTuple"]
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class NamedTuple(tuple):
        """A tuple whose fields have the names, and perhaps the defaults, that a class of it annotates."""

        __slots__ = ()

        def __init_subclass__(cls) -> None:
            """Make what is annotated the fields."""
            cls._fields = tuple(cls.__annotations__)
            cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
            for index, name in enumerate(cls._fields):
                setattr(cls, name, property(lambda self, index=index: self[index]))

        def __new__(cls, *values, **named):
            """Take the fields in their order, by their names, or from their defaults."""
            rest = {**cls._defaults, **named}
            return super().__new__(cls, values + tuple(rest[name] for name in cls._fields[len(values) :]))
