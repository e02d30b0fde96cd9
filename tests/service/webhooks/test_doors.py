"""Installations and repositories come, go, and change their names; what stands behind them is looked at again."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, update

from service.models import Installation, Repository, Source, SourceKind, Told
from tests.service.webhooks.deliveries import Sent, example

SYNCHRONIZE = example("pull_request", "synchronize")
INSTALLATION = SYNCHRONIZE["installation"]["id"]
REPOSITORY = SYNCHRONIZE["repository"]
SHORT = {"id": REPOSITORY["id"], "full_name": REPOSITORY["full_name"]}
NOW = datetime(2026, 7, 1, tzinfo=UTC)


def generation(database, ref: str = "2") -> Any:
    with database() as session:
        return session.scalars(select(Source.generation).where(Source.ref == ref)).one()


def repository(database) -> Any:
    with database() as session:
        return session.scalar(select(Repository).where(Repository.github_id == REPOSITORY["id"]))


def through_installation(event: str, action: str, **more: Any) -> Sent:
    payload = example(event, action)
    payload["installation"]["id"] = INSTALLATION
    return Sent(event, payload | more)


def test_an_installation_that_is_suspended_woken_and_deleted(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)

    through_installation("installation", "suspend").to(client)
    with database() as session:
        assert session.scalars(select(Installation.suspended_at)).one()
    assert generation(database) == 2
    through_installation("installation", "unsuspend").to(client)
    with database() as session:
        assert session.scalars(select(Installation.suspended_at)).one() is None
    assert generation(database) == 3
    through_installation("installation", "deleted").to(client)
    with database() as session:
        assert session.scalars(select(Installation.removed_at)).one()
    assert generation(database) == 4


def test_what_is_closed_already_is_not_looked_at_again(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    with database.begin() as session:
        session.execute(update(Source).values(open=False))

    through_installation("installation", "deleted").to(client)

    assert generation(database) == 1


def test_a_new_installation_takes_over_the_repositories_that_it_names(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    through_installation("installation", "deleted").to(client)
    created = example("installation", "created") | {"repositories": [SHORT]}

    Sent("installation", created).to(client)

    with database() as session:
        new = session.scalars(select(Installation).where(Installation.removed_at.is_(None))).one()
        assert new.github_id == created["installation"]["id"]
    assert repository(database).installation_id == new.id
    assert generation(database) == 3
    through_installation("installation", "deleted").to(client)  # the old one's, late: it has nothing left to close
    assert generation(database) == 3


def test_a_repository_that_is_removed_from_an_installation_and_added_again(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)

    through_installation(
        "installation_repositories", "removed", repositories_added=[], repositories_removed=[SHORT]
    ).to(client)
    assert repository(database).removed_at
    assert generation(database) == 2
    through_installation("installation_repositories", "added", repositories_added=[SHORT], repositories_removed=[]).to(
        client
    )
    assert repository(database).removed_at is None
    assert repository(database).default_branch == REPOSITORY["default_branch"]
    assert generation(database) == 3


def test_a_repository_that_another_installation_has_taken_over_is_not_removed(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    removed = example("installation_repositories", "removed")
    assert removed["installation"]["id"] != INSTALLATION

    Sent("installation_repositories", removed | {"repositories_removed": [SHORT]}).to(client)

    assert repository(database).removed_at is None
    assert generation(database) == 1


def test_a_repository_keeps_its_row_under_another_name_and_loses_its_door_when_deleted(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    renamed = example("repository", "renamed") | {"repository": REPOSITORY | {"full_name": "acme/other"}}

    Sent("repository", renamed).to(client)
    assert repository(database).full_name == "acme/other"
    assert repository(database).clone_url == "https://github.com/acme/other.git"
    assert generation(database) == 1
    Sent("repository", renamed | {"action": "deleted"}).to(client)
    assert repository(database).removed_at
    assert generation(database) == 2


def test_a_renamed_account_renames_its_repositories(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    owner, name = REPOSITORY["full_name"].split("/")
    renamed = {
        "action": "renamed",
        "account": {"id": 1, "login": "acme-corp"},
        "changes": {"login": {"from": owner}},
        "installation": {"id": INSTALLATION},
        "target_type": "User",
    }

    Sent("installation_target", renamed).to(client)

    assert repository(database).full_name == f"acme-corp/{name}"
    with database() as session:
        assert session.scalars(select(Installation.account)).one() == "acme-corp"


def test_branches_are_raised_when_pushed_and_only_known_ones_when_deleted(client, database):
    pushed = example("push", ref="refs/heads/master")

    for payload in (pushed, pushed, pushed | {"deleted": True}, pushed | {"ref": "refs/heads/other", "deleted": True}):
        assert Sent("push", payload).to(client).status_code == 202

    with database() as session:
        [branch] = session.scalars(select(Source))
        assert (branch.kind, branch.ref, branch.generation) == (SourceKind.BRANCH, "master", 3)


def test_a_check_that_is_asked_for_again_raises_the_source_that_was_told_of_it(client, database):
    Sent("pull_request", SYNCHRONIZE).to(client)
    Sent("pull_request", SYNCHRONIZE | {"pull_request": {"number": 3}}).to(client)
    rerequested = example("check_run", "rerequested") | {"repository": REPOSITORY}
    check_id = rerequested["check_run"]["id"]
    with database.begin() as session:
        source_id = session.scalars(select(Source.id).where(Source.ref == "3")).one()
        told = Told(source_id=source_id, key="check:notes:abc", github_id=check_id, updated_at=NOW)
        session.add(told)

    Sent("check_run", rerequested).to(client)

    with database() as session:
        raised = session.execute(select(Source.ref, Source.generation, Source.rerun_generation)).all()
    assert sorted(map(tuple, raised)) == [("2", 1, 0), ("3", 2, 2)]


def test_a_suite_that_is_asked_for_again_raises_what_had_its_commit(client, database):
    suite = example("check_suite", "rerequested") | {"repository": REPOSITORY}
    suite["check_suite"]["pull_requests"] = []
    Sent("pull_request", SYNCHRONIZE).to(client)
    Sent("pull_request", SYNCHRONIZE | {"pull_request": {"number": 3}}).to(client)
    with database.begin() as session:
        at_commit = update(Source).where(Source.ref == "3").values(head_sha=suite["check_suite"]["head_sha"])
        session.execute(at_commit)

    Sent("check_suite", suite).to(client)

    with database() as session:
        raised = session.execute(select(Source.ref, Source.generation, Source.rerun_generation)).all()
    assert sorted(map(tuple, raised)) == [("2", 1, 0), ("3", 2, 2)]
