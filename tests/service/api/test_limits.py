"""How often may be asked what nobody is logged in for: one address takes nothing from the others."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.api.limits import MOST_ADDRESSES, Limit, TooManyFromAddress, network_of
from service.app import create_app
from service.parts import Parts, make_parts
from service.settings import Settings
from tests.service.api.conftest import problem


def begin(client: FlaskClient, *hops: str) -> Any:
    """Begin a login, by way of these hops, each of which adds whom it was asked by."""
    return client.post("/api/v1/login", headers={"X-Forwarded-For": ", ".join(hops)} if hops else {})


@pytest.fixture
def behind_proxy(settings: Settings) -> Iterator[Parts]:
    made = make_parts(settings.model_copy(update={"public_url": "https://stages.example.com"}))
    yield made
    made.engine.dispose()


def test_who_begins_many_logins_keeps_nobody_from_theirs(client: FlaskClient) -> None:
    answers = [begin(client) for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert problem(answers[-1]) == (429, "too-many-requests")
    assert answers[-1].headers["Retry-After"] == "60"
    assert begin(client, "203.0.113.9").status_code == 200  # by a tunnel, which says so


def test_all_of_them_begin_so_many_logins_that_github_bears_it(client: FlaskClient) -> None:
    answers = [begin(client, f"203.0.113.{number}") for number in range(31)]
    assert [each.status_code for each in answers] == [200] * 30 + [429]
    assert problem(answers[-1]) == (429, "too-many-logins")


@pytest.mark.parametrize(
    ("path", "body", "most", "otherwise"),
    [
        ("/login/poll", {"device_code": "of-nobody"}, 100, "login-failed"),
        ("/actions/token", {"token": "a.b.c"}, 60, "not-logged-in"),
    ],
)
def test_so_are_polls_and_exchanges_limited(
    client: FlaskClient, path: str, body: dict[str, str], most: int, otherwise: str
) -> None:
    told = [problem(client.post(f"/api/v1{path}", json=body))[1] for _ in range(most + 1)]
    assert told == [otherwise] * most + ["too-many-requests"]
    other = client.post(f"/api/v1{path}", json=body, headers={"X-Forwarded-For": "203.0.113.9"})
    assert problem(other)[1] == otherwise


def test_behind_a_proxy_an_address_is_what_the_proxy_says_whatever_the_client_did(behind_proxy: Parts) -> None:
    client = create_app(parts=behind_proxy).test_client()
    answers = [begin(client, f"198.51.100.{number}", "203.0.113.9") for number in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert begin(client, "203.0.113.9", "203.0.113.8").status_code == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
        ("x" * 9000, "x" * 64),
    ],
)
def test_whoever_has_an_address_of_ipv6_has_all_of_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_addresses_fill_no_memory() -> None:
    limit = Limit(each=1)
    for number in range(MOST_ADDRESSES + 1):
        limit.check(f"2001:db8:0:{number:x}::1")
    limit.check("2001:db8:0:0::1")  # forgotten as the oldest
    with pytest.raises(TooManyFromAddress):
        limit.check("2001:db8:0:2710::1")
