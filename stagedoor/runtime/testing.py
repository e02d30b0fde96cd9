"""Bindings for unit tests: a handler finds what a test says, and nothing of AWS is called.

    from stagedoor.runtime.testing import bindings

    def test_create():
        with bindings(Table={"Notes": {"table_name": "notes"}}, Secret={"StripeKey": "sk_test"}):
            assert create({"body": "…"})["statusCode"] == 201

As a fixture of pytest:

    @pytest.fixture(autouse=True)
    def bound():
        with bindings(Table={"Notes": {"table_name": "notes"}}):
            yield

or, of a whole function, as a decorator: `@bindings(Secret={"StripeKey": "sk_test"})`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stagedoor.runtime.resources import KINDS
from stagedoor.runtime.variables import STORED, VARIABLE, given


@contextmanager
def bindings(**kinds: Mapping[str, "Mapping[str, object] | str"]) -> Iterator[None]:
    """Bind this process, in all of its threads, to what is given by kind and name, as long as it is entered.

    A resource is a mapping of its properties, a `Secret` or `Parameter` its value. What is given comes before the
    environment's, and an inner one before an outer one. Raises `TypeError` for what there cannot be.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise TypeError(f"There is no kind {kind!r} of resources. There are: {', '.join(KINDS)}.")
    layer = {
        f"{VARIABLE}{kind}_{name}": json.dumps(_properties(kind, name, resource))
        for kind, resources in kinds.items()
        for name, resource in resources.items()
    }
    given.append(layer)
    try:
        yield
    finally:
        # By identity: another thread may have one that is equal.
        del given[next(index for index, one in enumerate(given) if one is layer)]


def _properties(kind: str, name: str, resource: "Mapping[str, object] | str") -> Mapping[str, object]:
    if isinstance(resource, str):
        if kind not in STORED:
            raise TypeError(f'{kind}={{"{name}": …}} takes the resource\'s properties: {{"{name}": {{"…": "…"}}}}.')
        return {"value": resource}
    return resource
