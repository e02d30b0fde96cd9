"""What a deploy asks of a stage's secrets, and what a removal leaves of them."""

from pathlib import Path

import pytest

from stagedoor.assembly.model import Assembly, BindableResource
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stage_values import SecretsNotSet, StageValues, check_secrets, folder_of, forget_values
from stagedoor.events import silent
from stagedoor.naming import StageIdentity

STORED = ("fallback_name", "parameter_name", "value")
NEEDED = [f"Key{number}" for number in range(6)]


def needing(*names: str) -> Assembly:
    """Return an assembly that needs these secrets, and other things that nobody has to set."""
    resources = [BindableResource("Secret", name, STORED) for name in names]
    resources += [
        BindableResource("Parameter", "Limit", ("default", *STORED)),
        BindableResource("Secret", "OfTheCdk", ("parameter_name", "secret_arn", "value")),
        BindableResource("Table", "Notes", ("table_name",)),
    ]
    return Assembly(Path(), (), bindable=tuple(resources))


def test_all_are_named_with_commands_that_find_a_services_stage(clients: Clients):
    preview = StageIdentity("shop", "pr-1", "shop-pr-1-abcdef", "github.com/77", "service-1")
    values = StageValues(clients, folder_of(preview))
    values.put("_fallback", "Key0", "x")
    values.put("pr-1", "Key1", "x")
    values.put("pr-2", "Key2", "x")
    check_secrets(needing(), preview, clients, silent)
    with pytest.raises(SecretsNotSet) as told:
        check_secrets(needing(*NEEDED), preview, clients, silent)
    assert "The app needs Key2, Key3, Key4, Key5, set neither" in told.value.what
    assert "\n  stagedoor secrets set Key5 --stage pr-1 --repository github.com/77" in told.value.remedy
    for name in NEEDED:
        values.put("pr-1", name, "x")
    check_secrets(needing(*NEEDED), preview, clients, silent)


def test_a_stage_takes_its_own_away_unless_it_is_to_last(clients: Clients):
    dev = StageIdentity("notes", "dev", "notes-dev-abcdef", "local/notes", "local")
    prod = StageIdentity("notes", "prod", "notes-prod-abcdef", "local/notes", "local", disposable=False)
    values = StageValues(clients, folder_of(dev))
    for stage in ("dev", "prod", "_fallback"):
        for number in range(11):
            values.put(stage, f"Key{number}", "x")
    forget_values(dev, clients, silent)
    forget_values(prod, clients, silent)
    assert {one.stage for one in values.listed()} == {"prod", "_fallback"}
    assert len(values.listed()) == 22
