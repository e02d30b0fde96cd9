"""Deliveries that come twice, half, too large, in another form, or all at once."""

import io
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

from sqlalchemy import func, select, update

from service.models import Delivery, Source
from tests.service.webhooks.deliveries import URL, Sent, example, signature

OPENED = example("pull_request", "opened")
CAP = 25 * 1024 * 1024


def generations(database) -> list[int]:
    with database() as session:
        return list(session.scalars(select(Source.generation)))


def stored(database) -> int:
    with database() as session:
        return session.scalar(select(func.count()).select_from(Delivery)) or 0


def test_a_redelivery_is_answered_and_changes_nothing(client, database):
    sent = Sent("pull_request", OPENED)

    answers = [sent.to(client).get_json()["status"] for _ in range(3)]

    assert answers == ["recorded", "known", "known"]
    assert generations(database) == [1]


def test_a_delivery_that_was_stored_and_never_processed_is_processed_when_it_comes_again(client, database):
    sent = Sent("pull_request", OPENED)
    sent.to(client)
    with database.begin() as session:
        session.execute(update(Delivery).values(processed_at=None))

    assert sent.to(client).get_json()["status"] == "recorded"

    assert generations(database) == [2]
    assert stored(database) == 1
    assert sent.to(client).get_json()["status"] == "known"


def test_an_unknown_event_and_an_unknown_action_are_accepted_and_change_nothing(client, database):
    unknown = Sent("event_of_next_year", {"action": "invented"}).to(client)
    action = Sent("pull_request", OPENED | {"action": "invented"}).to(client)

    assert (unknown.status_code, action.status_code) == (202, 202)
    assert unknown.get_json()["understood"] == "ignored: event_of_next_year is not an event of interest"
    assert generations(database) == []
    assert stored(database) == 2


def test_a_form_is_understood_as_json_is(client, database):
    sent = Sent("pull_request", OPENED)
    body = urlencode({"payload": sent.body.decode()}).encode()
    headers = sent.headers() | {"X-Hub-Signature-256": signature(body)}

    answer = client.post(URL, data=body, headers=headers, content_type="application/x-www-form-urlencoded")

    assert answer.get_json()["understood"] == "pull request 2: opened"
    assert generations(database) == [1]


def test_what_is_signed_and_no_webhook_is_refused_and_not_stored(client, database):
    deep = b'{"a":' * 100_000
    refused = {
        (b"{", "application/json"): 400,
        (b"\xff\xfe\xfa", "application/json"): 400,
        (deep, "application/json"): 400,
        (b"[]", "application/json"): 400,
        (b"  ", "application/json"): 400,
        (b"load=%7B%7D", "application/x-www-form-urlencoded"): 400,
        (b"{}", "text/plain"): 415,
    }
    for (body, content_type), status in refused.items():
        headers = Sent("push", {}).headers() | {"X-Hub-Signature-256": signature(body), "Content-Type": content_type}
        assert client.post(URL, data=body, headers=headers).status_code == status, (body[:20], content_type)
    for name, value in {"X-GitHub-Delivery": "x" * 65, "X-GitHub-Event": "no such\tevent"}.items():
        sent = Sent("ping", {})
        assert client.post(URL, data=sent.body, headers=sent.headers() | {name: value}).status_code == 400
    assert Sent("ping", {}).to(client, X_GitHub_Enterprise_Host="github.example.com").status_code == 400
    assert stored(database) == 0


def test_a_body_above_githubs_cap_is_refused_however_long_it_says_it_is(client, database):
    body = b" " * (CAP + 1)
    headers = Sent("push", {}).headers() | {"X-Hub-Signature-256": signature(body)}

    assert client.post(URL, data=body, headers=headers).status_code == 413
    said = [
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, 413),
        ({"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"CONTENT_LENGTH": "10"}, 401),  # no more than that is read, and that much was not signed
    ]
    for environ, status in said:
        answer = client.post(URL, input_stream=io.BytesIO(body), headers=headers, environ_overrides=environ)
        assert answer.status_code == status, environ
    assert stored(database) == 0


def test_the_largest_payload_is_taken(client, database):
    frame = len(Sent("push", {"filling": ""}).body)
    sent = Sent("push", {"filling": "x" * (CAP - frame)})
    assert len(sent.body) == CAP

    assert sent.to(client).status_code == 202
    assert stored(database) == 1


def test_deliveries_of_one_pull_request_at_once_are_each_counted_once(postgres_app, postgres):
    """A third comes twice, at the same time; installation, repository and source are all new."""
    distinct = [Sent("pull_request", example("pull_request", "synchronize")) for _ in range(50)]
    at_once = [*distinct, *distinct[::3]]

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(lambda sent: sent.to(postgres_app.test_client()).status_code, at_once))

    assert set(answers) == {202}
    assert generations(postgres) == [50]
    assert stored(postgres) == 50


def test_closing_a_door_while_deliveries_come_through_it_locks_nobody_out(postgres_app, postgres):
    """Pull requests of several repositories, against suspensions that raise all of them: no deadlock, none lost."""
    synchronize = example("pull_request", "synchronize")
    installation = example("installation", "suspend")
    installation["installation"]["id"] = synchronize["installation"]["id"]
    pulls = [
        Sent(
            "pull_request",
            synchronize | {"repository": synchronize["repository"] | {"id": n % 5 + 1, "full_name": f"acme/n{n % 5}"}},
        )
        for n in range(60)
    ]
    doors = [Sent("installation", installation | {"action": ["suspend", "unsuspend"][n % 2]}) for n in range(20)]
    for sent in pulls[:5]:
        sent.to(postgres_app.test_client())

    with ThreadPoolExecutor(20) as pool:
        mixed = [sent for group in zip(pulls[5::3], pulls[6::3], doors, strict=False) for sent in group]
        mixed += [sent for sent in [*pulls[5:], *doors] if sent not in mixed]
        answers = list(pool.map(lambda sent: sent.to(postgres_app.test_client()).status_code, mixed))

    assert set(answers) == {202}
    assert sum(generations(postgres)) == len(pulls) + 5 * len(doors)
