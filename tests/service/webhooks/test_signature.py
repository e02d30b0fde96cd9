from sqlalchemy import func, select

from service.models import Base, Delivery
from service.webhooks.signature import is_signed
from tests.service.webhooks.deliveries import OLD_SECRET, SECRET, URL, Sent, example, signature

OPENED = Sent("pull_request", example("pull_request", "opened"))
GOOD = signature(OPENED.body)
BAD = [
    None,
    "sha256=",
    GOOD[:-1],
    GOOD[: len(GOOD) // 2],
    GOOD + "0",
    GOOD.upper(),
    GOOD.removeprefix("sha256="),
    GOOD.replace("sha256=", "sha1="),
    "sha256=" + "0" * 64,
    "sha256=" + "\u00e9" * 64,
    signature(OPENED.body, "another secret of some length"),
    signature(OPENED.body + b" "),
    signature(OPENED.body, ""),
]


def test_what_github_did_not_sign_is_refused_and_nothing_is_stored(client, database):
    for bad in BAD:
        headers = OPENED.headers() | {"X-Hub-Signature-256": bad}
        answer = client.post(URL, data=OPENED.body, headers={name: text for name, text in headers.items() if text})
        assert answer.status_code == 401, bad

    with database() as session:
        for table in Base.metadata.sorted_tables:
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_a_body_that_was_changed_on_the_way_is_refused(client):
    tampered = OPENED.body.replace(b'"number": 2', b'"number": 3')
    assert tampered != OPENED.body

    assert client.post(URL, data=tampered, headers=OPENED.headers()).status_code == 401


def test_the_signature_is_judged_before_the_body_is_read_as_json(client):
    headers = OPENED.headers() | {"X-Hub-Signature-256": signature(b"{}")}

    assert client.post(URL, data=b"{not json", headers=headers).status_code == 401


def test_two_secrets_are_valid_while_one_replaces_the_other(client, database):
    new, old = Sent("ping", {"zen": "Design for failure."}), Sent("ping", {"zen": "Keep it logically awesome."})

    assert new.to(client, SECRET).status_code == 202
    assert old.to(client, OLD_SECRET).status_code == 202
    with database() as session:
        assert set(session.scalars(select(Delivery.guid))) == {new.guid, old.guid}


def test_the_signature_is_that_of_githubs_own_documentation():
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    signed = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    assert is_signed(b"Hello, World!", signed, ["It's a Secret to Everybody"])
    assert not is_signed(b"Hello, World!", signed, [])
