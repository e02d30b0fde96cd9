"""What an app's synth asks for about the account: the entries under `missing` in its manifest.

The program that writes them is a stranger's, so nothing in them is believed: their shape is checked, an account or
region other than the target's is refused, and whether a key says what is asked is worked out again.
Source: https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema (`context-queries.ts`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stagedoor.errors import UserError
from stagedoor.target import Target

_NOT_IN_KEY = frozenset(
    {
        "dummyValue",
        "ignoreErrorOnMissingContext",
        "lookupRoleArn",
        "lookupRoleExternalId",
        "assumeRoleAdditionalOptions",
    }
)
"""Properties that say how to look and what to do when there is nothing, and not what is looked for."""

_KEY_LENGTH = 2_000
_DEPTH = 10


class InvalidLookup(UserError):
    """A lookup that is not put as CDK puts it."""

    id = "invalid-lookup"


class ForeignLookup(UserError):
    """A lookup in another account or region than the target's."""

    id = "foreign-lookup"


@dataclass(frozen=True, slots=True)
class Query:
    """One fact that an app asks for: the context key that its value goes under, the provider, and what it is told."""

    key: str
    provider: str
    properties: Mapping[str, Any]

    @property
    def canonical(self) -> bool:
        """Whether the key is the one that CDK makes of provider and properties.

        Only then does it say what was looked up, and its value may be given to whoever asks under that key. Any other
        key could be that of another question.
        """
        return self.key == context_key(self.provider, self.properties)

    @property
    def lasting(self) -> bool:
        """Whether the value may be kept under the key: it says all that was asked, the place included."""
        return self.canonical and self.key.isprintable() and {"account", "region"} <= self.properties.keys()

    def text(self, name: str) -> str:
        """Return a property that must be there; raises `InvalidLookup`."""
        found = self.optional_text(name)
        if not found:
            raise self.invalid(f"{name} is missing")
        return found

    def optional_text(self, name: str) -> str | None:
        """Return a text property, or None."""
        found = self.properties.get(name)
        if found is not None and not isinstance(found, str):
            raise self.invalid(f"{name} is no text")
        return found or None

    def texts(self, name: str) -> list[str]:
        """Return a property that is a list of texts; empty where it is absent."""
        found = self.properties.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self.invalid(f"{name} is no list of texts")
        return found

    def table(self, name: str) -> dict[str, Any]:
        """Return a property that is an object; empty where it is absent."""
        found = self.properties.get(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise self.invalid(f"{name} is no object")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a property that is true or false."""
        found = self.properties.get(name, default)
        if not isinstance(found, bool):
            raise self.invalid(f"{name} is neither true nor false")
        return found

    def invalid(self, why: str) -> InvalidLookup:
        """Return the error for a property that is not what CDK writes."""
        return InvalidLookup(
            f"The app's lookup {self.key[:200]!a} cannot be made: {why}.",
            "Look it up with a method of aws-cdk-lib, such as `Vpc.from_lookup`.",
        )

    def check_place(self, target: Target) -> None:
        """Raise `ForeignLookup` unless the question is about the target's account and region."""
        account = self.properties.get("account", target.account)
        region = self.properties.get("region", target.region)
        if (account, region) != (target.account, target.region):
            raise ForeignLookup(
                f"The app looks up {self.key[:200]!a} in {str(account)!a}, {str(region)!a}; "
                f"the target is {target.account}, {target.region}.",
                "Give the stack the environment of CDK_DEFAULT_ACCOUNT and CDK_DEFAULT_REGION.",
            )


def queries_of(missing: tuple[Mapping[str, Any], ...]) -> tuple[Query, ...]:
    """Return what an assembly's `missing` asks for, each key once; raises `InvalidLookup`."""
    found: dict[str, Query] = {}
    for entry in missing:
        match entry:
            case {"key": str(key), "provider": str(provider), "props": dict(properties)} if len(
                key
            ) <= _KEY_LENGTH and _is_plain(entry, _DEPTH):
                found.setdefault(key, Query(key, provider, properties))
            case _:
                raise InvalidLookup(
                    f"The app asks for context that has not CDK's shape: {ascii(dict(entry))[:200]}.",
                    "Run synth again with an unchanged aws-cdk-lib.",
                )
    return tuple(found.values())


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is what can be sent, kept and shown: not nested without end, and its texts printable."""
    if isinstance(value, str):
        return value.isprintable()
    if isinstance(value, Mapping):
        return depth > 0 and all(_is_plain(key, 0) and _is_plain(inner, depth - 1) for key, inner in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(inner, depth - 1) for inner in value)
    return True


def context_key(provider: str, properties: Mapping[str, Any]) -> str:
    """Return the context key that CDK makes for a lookup.

    Source: `ContextProvider.getKey` of aws-cdk-lib 2.275.0 (`core/lib/context-provider.ts`): the properties as
    `name=value`, nested names joined by dots, sorted, colons within them as `$:`.
    """
    asked = {name: value for name, value in properties.items() if name not in _NOT_IN_KEY}
    return ":".join([provider, *sorted(_parts(asked, "", _DEPTH))])


def _parts(value: Any, name: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict | list) and depth > 0:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for inner, item in items:
            yield from _parts(item, f"{name}.{inner}" if name else str(inner), depth - 1)
    elif isinstance(value, str):
        yield f"{name}={value.replace(':', '$:')}"
    else:
        yield f"{name}={json.dumps(value)}"
