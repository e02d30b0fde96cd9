"""What a handler finds of the resources that it is bound to, and what it is told of others."""

import json
import subprocess
import sys

import pytest

from stagedoor import runtime
from stagedoor.runtime.resources import NotBound


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "shop-Create")
    monkeypatch.setenv("STAGEDOOR_BIND_Table_Notes", json.dumps({"table_name": "notes-1"}))


def test_a_property_and_one_that_changed(monkeypatch: pytest.MonkeyPatch):
    assert runtime.Table.Notes.table_name == "notes-1"
    monkeypatch.setenv("STAGEDOOR_BIND_Table_Notes", json.dumps({"table_name": "notes-2"}))
    assert runtime.Table.Notes.table_name == "notes-2"
    assert dir(runtime.Table) == ["Notes"]
    assert repr(runtime.Table) == "<Table: Notes>"


def test_a_missing_binding_says_which_function_which_resource_and_what_to_add():
    with pytest.raises(NotBound) as told:
        _ = runtime.Table.Note
    assert str(told.value) == (
        "The function shop-Create is not bound to Table.Note. Add Table.Note where the function is made: "
        "bind=[…, note]. It is bound to Table.Notes. Did you mean Table.Notes?"
    )


def test_outside_of_a_function_it_says_how_to_be_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME")
    monkeypatch.delenv("STAGEDOOR_BIND_Table_Notes")
    with pytest.raises(NotBound, match=r"This process is not bound to Secret.StripeKey. Run it as `stagedoor shell"):
        _ = runtime.Secret.StripeKey


def test_an_unknown_property_and_an_unknown_kind():
    with pytest.raises(
        AttributeError, match=r"Table.Notes has no 'tablename'; it has table_name. Did you mean table_n"
    ):
        _ = runtime.Table.Notes.tablename
    with pytest.raises(AttributeError, match=r"no attribute 'Tabel'. Did you mean Table\?"):
        _ = runtime.Tabel  # type: ignore[attr-defined]


def test_a_cold_start_loads_the_standard_library_alone():
    program = "import sys; from stagedoor.runtime import Table; Table.Notes.table_name; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("stagedoor")}
    assert ours == {"stagedoor", "stagedoor.runtime", "stagedoor.runtime.resources", "stagedoor.runtime.variables"}
    assert not {"boto3", "typing", "logging", "threading", "difflib"} & set(loaded)
