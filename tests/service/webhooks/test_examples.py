"""Every example payload that GitHub publishes, through the real application."""

from collections import Counter

from flask.testing import FlaskClient
from sqlalchemy import select

from service.models import Delivery, Repository, Source, SourceKind
from tests.service.webhooks.deliveries import Sent, examples

ALL = [Sent(event, payload) for event, payload in examples()]
INDIFFERENT = {"assigned", "unassigned", "locked", "unlocked", "review_requested", "review_request_removed"}


def test_each_example_is_answered_stored_and_acted_on_once(client: FlaskClient, database):
    answers = [sent.to(client) for sent in ALL for _ in ("first", "again")]

    assert len(ALL) == 329
    assert {answer.status_code for answer in answers} == {202}
    assert Counter(answer.get_json()["status"] for answer in answers) == {"recorded": 329, "known": 329}
    with database() as session:
        stored = {delivery.guid: delivery for delivery in session.scalars(select(Delivery))}
        assert {guid: row.body for guid, row in stored.items()} == {sent.guid: sent.body for sent in ALL}
        assert all(row.processed_at for row in stored.values())
        assert not [row.outcome for row in stored.values() if "usable" in row.outcome]


def test_each_pull_request_makes_its_source_and_its_repository_known(client: FlaskClient, database):
    pulls = [payload for event, payload in examples() if event == "pull_request"]
    for number, payload in enumerate(pulls, 1):
        payload["repository"]["id"] = number  # each in a repository of its own, so that each is seen by itself
        assert Sent("pull_request", payload).to(client).status_code == 202

    with database() as session:
        for number, payload in enumerate(pulls, 1):
            found = session.execute(
                select(Source, Repository).join(Repository).where(Repository.github_id == number)
            ).all()
            if payload["action"] in INDIFFERENT:
                assert found == []
                continue
            [(source, repository)] = found
            assert (source.kind, source.ref) == (SourceKind.PULL, str(payload["number"]))
            assert (source.generation, source.done_generation, source.open) == (1, 0, True)
            assert repository.full_name == payload["repository"]["full_name"]
            assert repository.clone_url == f"https://github.com/{payload['repository']['full_name']}.git"
            assert repository.default_branch == payload["repository"]["default_branch"]
            through = repository.installation.github_id if repository.installation else None
            assert through == payload.get("installation", {}).get("id")


def test_enterprise_servers_examples_are_answered_too(client: FlaskClient):
    for event, payload in examples("ghes-35"):
        assert Sent(event, payload).to(client).status_code == 202
