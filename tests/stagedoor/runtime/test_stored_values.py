"""Secrets in a handler: fetched once, kept, rotated without a deploy."""

import json
import logging
import os
import sys
from collections.abc import Mapping

import boto3
import pytest

from demo.aws.server import LocalAws
from stagedoor import runtime
from stagedoor.runtime import stored_values
from stagedoor.runtime.stored_values import StoredValues, ValueNotRead, ValueNotSet

FOLDER = "/stagedoor/shop-1a2b3c"


class Store:
    """A parameter store that counts, and that can be down; AWS itself cannot be made to."""

    def __init__(self, **values: str) -> None:
        self.values = {f"{FOLDER}/{name.replace('__', '/')}": value for name, value in values.items()}
        self.calls: list[list[str]] = []
        self.down = False

    def __call__(self, names: list[str]) -> Mapping[str, str]:
        self.calls.append(names)
        if self.down:
            raise ConnectionError("the network is down")
        return {name: self.values[name] for name in names if name in self.values}


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def bind(monkeypatch: pytest.MonkeyPatch, name: str, kind: str = "Secret") -> dict[str, str]:
    properties = {"parameter_name": f"{FOLDER}/dev/{name}", "fallback_name": f"{FOLDER}/_fallback/{name}"}
    monkeypatch.setenv(f"STAGEDOOR_BIND_{kind}_{name}", json.dumps(properties))
    return properties


def test_all_in_one_call_the_stages_own_first_and_kept_for_five_minutes(monkeypatch: pytest.MonkeyPatch):
    key, word, limit = bind(monkeypatch, "Key"), bind(monkeypatch, "Word"), bind(monkeypatch, "Limit", "Parameter")
    store, clock = Store(dev__Key="own", _fallback__Key="all", _fallback__Word="all", dev__Limit="5"), Clock()
    values = StoredValues(store, clock)
    assert values.value("Secret", "Key", key) == "own"
    assert values.value("Secret", "Word", word) == "all"
    assert values.value("Parameter", "Limit", limit) == "5"
    assert len(store.calls) == 1
    store.values[f"{FOLDER}/dev/Key"] = "rotated"
    clock.seconds += 299
    assert values.value("Secret", "Key", key) == "own"
    clock.seconds += 2
    assert values.value("Secret", "Key", key) == "rotated"
    assert len(store.calls) == 2


def test_old_values_serve_while_the_store_is_down(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    key = bind(monkeypatch, "Key")
    store, clock = Store(dev__Key="own"), Clock()
    values = StoredValues(store, clock)
    store.down = True
    with pytest.raises(
        ValueNotRead, match=r"Secret.Key could not be read from the parameter store: the network is down"
    ):
        values.value("Secret", "Key", key)
    store.down = False
    assert values.value("Secret", "Key", key) == "own"
    store.down = True
    clock.seconds += 301
    with caplog.at_level(logging.WARNING):
        assert values.value("Secret", "Key", key) == "own"
        assert values.value("Secret", "Key", key) == "own"
    assert caplog.messages == ["Secrets could not be fetched anew; those of before serve on: the network is down"]
    store.down, store.values = False, {f"{FOLDER}/dev/Key": "new"}
    clock.seconds += 31
    assert values.value("Secret", "Key", key) == "new"


def test_one_that_nobody_set_is_there_as_soon_as_somebody_has(monkeypatch: pytest.MonkeyPatch):
    key = bind(monkeypatch, "Key")
    store = Store()
    values = StoredValues(store, Clock())
    with pytest.raises(ValueNotSet, match=r"Secret.Key is not set. Set it: stagedoor secrets set Key --stage dev$"):
        values.value("Secret", "Key", key)
    store.values[f"{FOLDER}/_fallback/Key"] = "all"
    assert values.value("Secret", "Key", key) == "all"


def test_a_default_serves_where_nobody_has_set_a_value_and_is_seen_to_be_set_within_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
):
    greeting = {**bind(monkeypatch, "Greeting", "Parameter"), "default": "Hello"}
    store, clock = Store(), Clock()
    values = StoredValues(store, clock)
    assert [values.value("Parameter", "Greeting", greeting) for _ in range(2)] == ["Hello", "Hello"]
    assert len(store.calls) == 1
    store.values[f"{FOLDER}/dev/Greeting"] = "Hi"
    clock.seconds += 31
    assert values.value("Parameter", "Greeting", greeting) == "Hi"


def test_more_than_five_go_in_several_calls(monkeypatch: pytest.MonkeyPatch):
    all_of_them = {f"Key{number}": bind(monkeypatch, f"Key{number}") for number in range(7)}
    store = Store(**{f"dev__{name}": name for name in all_of_them})
    values = StoredValues(store, Clock())
    assert [values.value("Secret", name, each) for name, each in all_of_them.items()] == list(all_of_them)
    assert [len(call) for call in store.calls] == [10, 4]


def test_from_the_parameter_store_of_aws(monkeypatch: pytest.MonkeyPatch, runtime_aws: LocalAws):
    for name, value in runtime_aws.environment(f"{os.getpid() % 10**6:06d}000001").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    bind(monkeypatch, "StripeKey")
    ssm = boto3.client("ssm", region_name="eu-west-1")
    ssm.put_parameter(Name=f"{FOLDER}/_fallback/StripeKey", Value="sk_test", Type="SecureString")
    monkeypatch.setattr(stored_values, "VALUES", StoredValues(stored_values.read_parameters))
    assert runtime.Secret.StripeKey.value == "sk_test"
    assert "sk_test" not in repr(runtime.Secret.StripeKey)


def test_without_boto3(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    key = bind(monkeypatch, "Key")
    with pytest.raises(ValueNotRead, match="boto3 is not installed here"):
        StoredValues(stored_values.read_parameters).value("Secret", "Key", key)
