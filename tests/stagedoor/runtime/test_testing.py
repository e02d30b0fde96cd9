"""`stagedoor.runtime.testing`: a unit test says what there is."""

import threading

import pytest

from stagedoor import runtime
from stagedoor.runtime.resources import NotBound
from stagedoor.runtime.testing import bindings


def handler(_event: object, _context: object) -> str:
    return f"{runtime.Table.Notes.table_name} {runtime.Secret.StripeKey.value}"


@pytest.fixture
def bound():
    with bindings(Table={"Notes": {"table_name": "notes"}}, Secret={"StripeKey": "sk_test"}):
        yield


def test_in_every_thread_and_an_inner_one_first(bound: None):
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(handler({}, None)))
    thread.start()
    thread.join()
    assert found == ["notes sk_test"]
    with bindings(Table={"Notes": {"table_name": "other"}}):
        assert handler({}, None) == "other sk_test"
    assert handler({}, None) == "notes sk_test"


@bindings(Parameter={"Limit": "5"})
def test_as_a_decorator():
    assert runtime.Parameter.Limit.value == "5"


def test_nothing_stays():
    with pytest.raises(NotBound):
        handler({}, None)


def test_what_there_cannot_be():
    with pytest.raises(TypeError, match="no kind 'Tabel'"), bindings(Tabel={}):
        pass
    with pytest.raises(TypeError, match="takes the resource's properties"), bindings(Table={"Notes": "notes"}):
        pass
