"""What GitHub says now becomes what is wanted, whatever webhooks said and however slowly it was heard."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.database import now
from service.github import tell
from service.github.errors import GitHubUnavailable
from service.models import Intent, Repository, Source
from service.stages import sources
from service.stages.teller import tell_or_put_off


def test_an_opened_pull_request_becomes_a_stage_that_is_wanted(house):
    source = house.pull_request()
    house.resolve(source)
    stage = house.stage(source)
    assert stage.name == f"pr-{house.number(source)}"
    assert (stage.wanted_generation, stage.done_generation) == (1, 0)
    assert house.intents(source) == [("commit", "opened")]
    assert stage.frozen_target["account"] == "000000000001"


def test_asking_again_changes_nothing(house):
    source = house.pull_request()
    for _ in range(3):
        house.touch(source)
        house.resolve(source)
    assert len(house.intents(source)) == 1
    assert house.source(source).done_generation == 4


def test_ten_pushes_that_are_heard_of_together_are_one_change(house):
    source = house.pull_request()
    house.resolve(source)
    shas = [house.push(source, {"n.txt": str(n)}) for n in range(10)]
    house.resolve(source)
    assert house.intents(source) == [("commit", "opened"), ("commit", "pushed")]
    with house.parts.sessions() as session:
        newest = session.scalars(select(Intent).order_by(Intent.id.desc())).first()
    assert newest.commit == shas[-1]


def test_closed_then_reopened_then_merged(house):
    source = house.pull_request()
    number = house.number(source)
    house.resolve(source)
    house.github.close(house.repository, number)
    house.resolve(source)
    house.github.reopen(house.repository, number)
    house.resolve(source)
    house.github.merge(house.repository, number)
    house.resolve(source)
    causes = [("commit", "opened"), ("gone", "closed"), ("commit", "reopened"), ("gone", "merged")]
    assert house.intents(source) == causes


def test_a_rerun_that_was_asked_for_is_a_change_of_its_own(house):
    source = house.pull_request()
    house.resolve(source)
    with house.parts.sessions.begin() as session:
        row = session.get_one(Source, source)
        row.generation += 1
        row.rerun_generation = row.generation
    house.resolve(source)
    house.resolve(source)
    assert house.intents(source) == [("commit", "opened"), ("commit", "rerequested")]


def test_a_rerun_is_one_run_though_an_older_question_was_being_answered(house):
    source = house.pull_request()
    house.resolve(source)
    house.touch(source)
    earlier = sources._begin(house.parts.sessions, source)
    with house.parts.sessions.begin() as session:
        row = session.get_one(Source, source)
        row.generation += 1
        row.rerun_generation = row.generation
    sources._write(house.parts.sessions, earlier, sources._ask(house.clients, earlier))
    house.resolve(source)
    assert house.intents(source) == [("commit", "opened"), ("commit", "rerequested")]


def test_a_title_that_no_database_takes(house):
    source = house.pull_request()
    house.github._edit_pull(house.repository, house.number(source), {"title": "nothing\0here"})
    house.resolve(source)
    assert house.source(source).title == "nothinghere"


def test_an_answer_that_cannot_be_written_down_is_asked_for_later_and_not_at_once(house, monkeypatch):
    source = house.pull_request()

    def refused(*_arguments, **_keywords):
        raise ValueError("the database does not take it")

    monkeypatch.setattr(sources, "apply_wishes", refused)
    with pytest.raises(ValueError, match="does not take"):
        house.resolve(source)
    assert house.source(source).not_before is not None


def test_github_that_answers_and_cannot_be_told_is_left_alone_for_longer_each_time(house, monkeypatch):
    source = house.pull_request(**{"cdk.json": "{}"})
    monkeypatch.setattr("service.stages.teller.tell", unavailable)
    waits = []
    for _ in range(3):
        house.resolve(source)
        tell_or_put_off(house.parts, house.clients, source)
        with house.parts.sessions() as session:
            waits.append((session.get_one(Source, source).not_before - now(session)).total_seconds())
    assert waits[0] < 6 < waits[1] < 11 < waits[2]
    monkeypatch.undo()
    tell_or_put_off(house.parts, house.clients, source)
    assert house.source(source).attempts == 0


def unavailable(*_arguments):
    raise GitHubUnavailable("GitHub answered 502")


def test_to_find_another_process_telling_is_no_failure_and_keeps_no_push_waiting(house, monkeypatch):
    source = house.pull_request(**{"cdk.json": "{}"})
    monkeypatch.setattr(tell, "WAIT_SECONDS", 0)
    house.resolve(source)
    with tell._claim(house.parts.sessions, source):
        for _ in range(4):
            tell_or_put_off(house.parts, house.clients, source)
    with house.parts.sessions() as session:
        row = session.get_one(Source, source)
        assert row.attempts == 0
        assert row.generation > row.done_generation
        assert (row.not_before - now(session)).total_seconds() < 6


def test_a_slow_answer_does_not_overwrite_a_later_question(house, monkeypatch):
    source = house.pull_request()
    slow = sources._begin(house.parts.sessions, source)
    stale = sources._ask(house.clients, slow)
    head = house.push(source, {"n.txt": "newer"})
    house.resolve(source)
    sources._write(house.parts.sessions, slow, stale)
    assert house.source(source).head_sha == head
    assert len(house.intents(source)) == 1


def test_a_mistake_in_the_configuration_is_noted_and_what_is_live_stays(house):
    source = house.pull_request()
    house.resolve(source)
    house.github.push(house.repository, "main", {"stagedoor.toml": "[previews]\nenabled = maybe\n"})
    house.resolve(source)
    assert house.source(source).note["id"] == "config-invalid"
    assert house.intents(source) == [("commit", "opened")]


def test_configuration_comes_from_the_base_and_not_from_the_pull_request(house):
    house.github.push(house.repository, "main", {"stagedoor.toml": "[previews]\nenabled = false\n"})
    source = house.pull_request(**{"stagedoor.toml": "[previews]\nenabled = true\n"})
    house.resolve(source)
    assert house.stages(source) == []


def test_github_out_of_reach_leaves_the_source_behind_until_later(house, monkeypatch):
    source = house.pull_request()

    def unreachable(*_):
        raise GitHubUnavailable("GitHub answered 502")

    monkeypatch.setattr(sources, "_ask", unreachable)
    with pytest.raises(GitHubUnavailable):
        house.resolve(source)
    row = house.source(source)
    assert row.done_generation < row.generation
    with house.parts.sessions() as session:
        assert row.not_before > now(session) + timedelta(seconds=3)


def test_an_uninstalled_app_takes_its_previews_away_without_asking(house):
    source = house.pull_request()
    house.resolve(source)
    with house.parts.sessions.begin() as session:
        session.get_one(Repository, house.repository_id).removed_at = now(session)
    house.resolve(source)
    assert house.intents(source) == [("commit", "opened"), ("gone", "uninstalled")]


def test_a_suspended_installation_leaves_everything_as_it_is(house):
    source = house.pull_request()
    house.resolve(source)
    with house.github.installation("suspended"):
        house.resolve(source)
    assert house.intents(source) == [("commit", "opened")]
