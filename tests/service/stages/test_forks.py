"""A fork's pull request waits for a maintainer's word, which holds for one commit and is asked of GitHub."""

from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from demo.github.world import LocalRepository
from service.models import Approval, Audit, Intent, Source, SourceKind
from service.stages.errors import CommitNotApproved
from service.stages.requests import request_deploy
from service.stages.sources import resolve
from tests.service.rows import T0
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House
from tests.service.stages.packed import artifact

CONFIG = '[apps.tiny]\nsynth = "actions"\n[previews]\nforks = "approve"\n'


@dataclass
class Fork:
    """A pull request from a fork, and the house that hears of it."""

    house: House
    fork: LocalRepository
    source: int
    number: int

    @property
    def head(self) -> str:
        return str(self.house.github.pull(self.house.repository, self.number)["head"]["sha"])

    @property
    def note(self) -> dict[str, str]:
        return dict(self.house.source(self.source).note or {})

    def push(self, word: str) -> str:
        """Push to the fork's branch, as GitHub does it for a pull request."""
        house, pull = self.house, self.house.repository.pulls[self.number]
        pull.head_sha = self.fork.git.commit("topic", tiny_app.files(word), "A change", "main")
        house.repository.git.fetch(self.fork.git, "topic", f"refs/pull/{self.number}/head")
        house.touch(self.source)
        house.resolve(self.source)
        return pull.head_sha

    def say(self, body: str, **more: Any) -> None:
        self.house.github.say(self.house.repository, self.number, body, **more)
        self.house.hear()
        self.house.resolve(self.source)

    def run_workflow(self, word: str, fork: LocalRepository | None) -> None:
        house = self.house
        run = house.github.begin_workflow(house.repository, self.head, fork=fork)
        house.github.end_workflow(house.repository, run, {"stagedoor-assembly-tiny": artifact(word)})
        house.hear()
        house.resolve(self.source)
        house.reconcile(self.source)


def opened(house: House, config: str) -> Fork:
    house.github.push(house.repository, "main", {"stagedoor.toml": config})
    fork = house.github.fork(house.repository, "eve")
    fork.git.commit("topic", tiny_app.files("one"), "A change", "main")
    number = house.github.open_pull_request(house.repository, "topic", fork=fork)
    house.hear()
    with house.parts.sessions() as session:
        source = session.scalars(select(Source.id).where(Source.kind == SourceKind.PULL)).one()
    house.resolve(source)
    return Fork(house, fork, source, number)


def test_a_fork_is_deployed_at_a_maintainers_word_and_only_that_commit(live_house: House) -> None:
    fork = opened(live_house, CONFIG)
    house, first = live_house, fork.head
    assert fork.note["id"] == "fork-approval"
    assert f"`/deploy {first}`" in fork.note["remedy"]
    assert house.stages(fork.source) == []

    fork.say(f"/deploy {first}", login="eve", permission="read")
    fork.say(f"/deploy {first[:12]}")
    assert "does not name all of the newest commit's id" in fork.note["what"]
    fork.say(f"/deploy {first}", action="edited")
    fork.say(f"please /deploy {first}")
    assert house.stages(fork.source) == [], "none of these is a maintainer's word on this commit"

    fork.say(f"/deploy {first}\r\nI have read it.")
    house.reconcile(fork.source)
    assert "Waits for a workflow" in str(house.runs(fork.source)[-1].blocked_reason)
    fork.run_workflow("ours", fork=None)
    assert house.runs(fork.source)[-1].outcome is None, "a run of the repository's own is none of the fork"
    fork.run_workflow("one", fork=fork.fork)
    stage = house.stage(fork.source)
    assert (stage.live_commit, stage.outputs) == (first, {"Tiny": {"Word": "one"}})
    with house.parts.sessions() as session:
        (intent,) = session.scalars(select(Intent)).all()
        (audited,) = session.scalars(select(Audit).where(Audit.action == "approve-fork")).all()
        states = session.scalars(select(Approval.state).order_by(Approval.id)).all()
    assert intent.approval is not None
    assert (intent.approval["sha"], intent.approval["by"]) == (first, "mona")
    assert intent.approval["head_repository"] == fork.fork.number
    assert (audited.actor, audited.subject) == ("mona", first)
    assert states == ["refused", "refused", "granted"]
    body = _told(house, fork)
    assert f"mona approved the fork's commit <code>{first[:12]}</code> by a comment." in body

    second = fork.push("two")
    house.reconcile(fork.source)
    assert (fork.note["id"], house.stage(fork.source).live_commit) == ("fork-approval", first)
    assert f"/deploy {second}" in _told(house, fork)
    with house.parts.sessions.begin() as session, pytest.raises(CommitNotApproved):
        request_deploy(session, session.merge(stage), second, actor="token:nightly")
    fork.say(f"/deploy {first}")
    assert "does not name all of the newest commit's id" in fork.note["what"]

    house.github.close(house.repository, fork.number)
    house.reconcile(fork.source)
    assert house.stage(fork.source).live_commit is None


def _told(house: House, fork: Fork) -> str:
    comments = house.github.comments(house.repository, fork.number)
    return str(next(each["body"] for each in comments if "### Stagedoor" in each["body"]))


def test_a_fork_is_denied_unless_the_repository_says_otherwise(house: House) -> None:
    fork = opened(house, '[apps.tiny]\nsynth = "actions"\n')
    fork.say(f"/deploy {fork.head}")
    assert (fork.note["id"], house.stages(fork.source)) == ("fork", [])


def test_a_forks_code_is_run_by_the_service_only_where_its_operator_says_so(house: House) -> None:
    fork = opened(house, '[apps.tiny]\n[previews]\nforks = "approve"\n')
    fork.say(f"/deploy {fork.head}")
    assert (fork.note["id"], house.stages(fork.source)) == ("fork-synth", [])
    house.touch(fork.source)
    resolve(house.parts.sessions, house.clients, fork.source, fork_synth=True)
    assert [stage.name for stage in house.stages(fork.source)] == [f"pr-{fork.number}"]


def test_words_on_what_is_no_fork_change_nothing(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    house.github.say(house.repository, house.number(source), "/deploy " + "a" * 40)
    house.hear()
    house.resolve(source)
    assert house.intents(source) == [("commit", "opened")]
    with house.parts.sessions() as session:
        assert session.scalars(select(Approval.reason)).all() == ["the pull request is not of a fork"]
    assert house.source(source).created_at == T0
