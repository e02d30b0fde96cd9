"""The story of a pull request: eight steps, each asserted by what its author, a visitor and the account's owner see."""

import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from demo import notes_app
from demo.cloud import Cloud
from demo.preview import Preview
from demo.pull_request import FAILED, LIVE, REMOVED, Comment, PullRequest
from demo.runs import RunRow, read_runs
from demo.telling import Teller
from demo.waiting import LOOK_SECONDS, NotYet, expect, until

REPOSITORY, BRANCH, STAGE, ENVIRONMENT = "acme/notes", "shorter-notes", "pr-1", "preview"
PATIENCE = 180.0
"""How many seconds a step may wait for one thing: enough for a machine that is busy with much else."""
PUSHES = 10

Found = TypeVar("Found")


@dataclass(slots=True)
class Times:
    """What the story measures, in seconds."""

    opened_to_live: float = 0.0
    opened_to_live_warm: float = 0.0
    push_to_new_code: float = 0.0
    closed_to_gone: float = 0.0


BARS = Times(opened_to_live=30.0, opened_to_live_warm=12.0, push_to_new_code=8.0, closed_to_gone=15.0)
"""The most that each may take on two cores."""


@dataclass(slots=True)
class Story:
    """One telling on a fresh cloud. A step that fails raises; what is measured is in `times`.

    `first` is the comment as it was when the preview was first live, `good` the last commit that is to be live,
    `version` what it answers with, and `opened` when the pull request was opened.
    """

    cloud: Cloud
    teller: Teller
    times: Times = field(default_factory=Times)
    pull: PullRequest = field(init=False)
    first: Comment = field(init=False)
    good: str = ""
    version: str = ""
    opened: float = 0.0

    def tell(self) -> None:
        """Tell it from the beginning to the end."""
        self.open()
        self.go_live()
        self.visit()
        self.change()
        self.change_ten_times()
        self.break_it()
        self.close()
        self.reopen()
        self.merge()

    @property
    def preview(self) -> Preview:
        """The preview, at the URL that the comment names."""
        return Preview(self.cloud.aws, self.pull.comment().url)

    @property
    def runs(self) -> list[RunRow]:
        """All runs so far."""
        return read_runs(self.cloud.service.database)

    def open(self) -> None:
        """Step 2: a pull request is opened, and its signed webhook is taken."""
        with self.teller.line("2", "A pull request is opened") as line:
            github = self.cloud.github
            repository = github.create_repository(REPOSITORY, notes_app.FOLDER)
            self.good = github.push(repository, BRANCH, {"README.md": "# Shorter notes\n"}, "Say less")
            self.opened = time.monotonic()
            number = github.open_pull_request(repository, BRANCH, title="Shorter notes")
            self.pull = PullRequest(github, repository, number)
            github.wait_for_deliveries()
            answers = {delivery.event: delivery.status for delivery in github.deliveries}
            expect(answers.get("pull_request") == 202, "202 for the pull_request webhook", answers)
            line.text = f"Pull request #{number} is opened against examples/notes; its signed webhook is taken"

    def go_live(self) -> None:
        """Step 3: the stage is deployed, and GitHub says so in three places."""
        with self.teller.line("3", f"The preview {STAGE} is deployed") as line:
            self._await_live(self.good)
            line.seconds = self.times.opened_to_live = time.monotonic() - self.opened
            comment = self.first = self.pull.comment()
            line.text = f"{STAGE} is live: one comment, a check run, a deployment"
            line.note = self._bar("opened_to_live")
            expect(comment.stage == STAGE, f"the stage {STAGE} in the comment", comment.stage)
            expect("<code>Url</code>" in comment.body, "the output Url in the comment", comment.body)
            expect(comment.took.endswith(" s"), "the deploy's seconds in the comment", comment.took)
            page = urllib.request.urlopen(comment.run_url, timeout=10).read().decode()
            expect(STAGE in page, "the run's page behind the comment's link", page[:200])
            deployment = self.pull.deployment(self.good, "success")
            expect(deployment["environment"] == ENVIRONMENT, f"environment {ENVIRONMENT}", deployment["environment"])
            environment_url = deployment["statuses"][0]["environment_url"]
            expect(environment_url == comment.url, f"{comment.url} as the deployment's URL", environment_url)
            states = self.pull.check_states(self.pull.check(self.good))
            expect(states == ["queued", "in_progress", "success"], "queued → in_progress → success", states)

    def visit(self) -> None:
        """Step 4: the Lambda's own code answers, with its table and its bucket."""
        with self.teller.line("4", "A visitor writes a note and reads it back") as line:
            url = self.first.url
            note = self._until("a note made by POST /notes", lambda: self.preview.create("Buy less"))
            found = self.preview.read(note["id"])
            expect(found["text"] == "Buy less", "the note's own text", found)
            expect(found["archived"] is True, "the note in the bucket, too", found)
            line.text = f"A note is written and read back at {url}"

    def change(self) -> None:
        """Step 5: a push changes the code, and the same comment."""
        with self.teller.line("5", "A push changes the code") as line:
            began = time.monotonic()
            self.good = self.push(notes_app.handler("notes 2"), "Answer as the second version")
            self.pull.github.wait_for_deliveries()
            refused = {each.event: each.status for each in self.pull.github.deliveries if each.status != 202}
            expect(not refused, "202 for each webhook so far", refused)
            comment = self._until_comment(LIVE, self.good)  # nobody visits before: see `_until_version`
            self._until_version("notes 2")
            line.seconds = self.times.push_to_new_code = time.monotonic() - began
            expect(comment.number == self.first.number, f"the comment {self.first.number} updated", comment.number)
            line.text = 'A push changes the code: "notes 2" answers, the same comment says so'
            line.note = self._bar("push_to_new_code")

    def change_ten_times(self) -> None:
        """Step 6: ten pushes during a deploy end in one more deploy, of the newest."""
        with self.teller.line("6", "Ten pushes arrive while a deploy is under way") as line:
            slow = self.push(notes_app.slow_program(3), "Think longer")
            versions = [f"notes 3.{index}" for index in range(1, PUSHES + 1)]
            commits = self._commits(versions)
            under_way = self._run_in_phase(slow, "synth")
            began = time.monotonic()
            for commit in commits:
                self.pull.github.push_commit(self.pull.repository, BRANCH, commit)
            self.pull.github.wait_for_deliveries()
            took = time.monotonic() - began
            self.good, self.version = commits[-1], versions[-1]
            self._until_comment(LIVE, self.good)
            self._until_version(self.version)
            later = [run.commit for run in self.runs if run.id > under_way.id]
            expect(later == [self.good], f"one more run, of {self.good[:7]}", later)
            line.text = f"{PUSHES} pushes in {took:.1f} s during a deploy: one more run, of the newest commit"

    def break_it(self) -> None:
        """Step 7: the app's own error is told, and nothing of it is deployed."""
        with self.teller.line("7", "A push whose synth raises") as line:
            broken = self.push(notes_app.broken_program(), "Break it")
            comment = self._until_comment(FAILED, broken)
            check = self._until("the check run's end", lambda: self.pull.check(broken))
            expect(check["conclusion"] == "failure", "a failed check run", check["conclusion"])
            for name, text in (("check run", str(check["output"]["summary"])), ("comment", comment.body)):
                expect("LookupError: no such notebook" in text, f"the app's traceback in the {name}", text)
                expect(notes_app.SECRET not in text, f"no secret in the {name}", text)
            expect(self.good[:7] in comment.body, f"the last good commit {self.good[:7]} in the comment", comment.body)
            expect(self.preview.version() == self.version, f"{self.version!r} at the URL", self.preview.version())
            line.text = "Synth raises: the check run has the traceback, the last good commit stays"

    def close(self) -> None:
        """Step 8: closed during a deploy, everything goes."""
        with self.teller.line("8", "The pull request is closed while a deploy is under way") as line:
            files = {**notes_app.whole_program(), **notes_app.handler("notes 4")}
            self.good = self.push(files, "Mend it")
            self._run_in_phase(self.good, "plan", "publish", "apply")
            began = time.monotonic()
            self.pull.github.close(self.pull.repository, self.pull.number)
            self._await_gone()
            line.seconds = self.times.closed_to_gone = time.monotonic() - began
            line.text = "Closed during a deploy: nothing is left in AWS, the comment says so"
            line.note = self._bar("closed_to_gone")

    def reopen(self) -> None:
        """Step 8: reopening brings the preview back, with the caches warm."""
        with self.teller.line("8", "Reopened") as line:
            began = time.monotonic()
            self.pull.github.reopen(self.pull.repository, self.pull.number)
            self._await_live(self.good)
            line.seconds = self.times.opened_to_live_warm = time.monotonic() - began
            self._until_version("notes 4")
            line.text = "Reopened: the preview is back"
            line.note = self._bar("opened_to_live_warm")

    def merge(self) -> None:
        """Step 8: merging removes it again, and no environment is left behind but the shared one."""
        with self.teller.line("8", "Merged") as line:
            self.pull.github.merge(self.pull.repository, self.pull.number)
            self._await_gone()
            environments = self.pull.github.environments(self.pull.repository)
            expect(environments == [ENVIRONMENT], f"the one shared environment {ENVIRONMENT!r}", environments)
            line.text = "Merged: the preview is gone again"

    def left(self) -> list[str]:
        """Return what is in the account that was not there before the first stage."""
        return sorted(self.cloud.account.resources() - self.cloud.empty)

    def _await_live(self, commit: str) -> None:
        self._until_comment(LIVE, commit)
        self._until("a deployment with state success", lambda: self.pull.deployment(commit, "success"))
        check = self._until("the check run's end", lambda: self.pull.check(commit))
        expect(check["conclusion"] == "success", "a successful check run", check["conclusion"])

    def _await_gone(self) -> None:
        def nothing_left() -> None:
            if left := self.left():
                raise NotYet(f"{len(left)} left: {', '.join(left)}")

        def said_so() -> None:
            comment = self.pull.comment()
            if comment.state != REMOVED:
                raise NotYet(f"the comment says {comment.state!r}")
            if active := self.pull.active_deployments():
                raise NotYet(f"active deployments of {', '.join(active)}")

        self._until("nothing of the stage in AWS", nothing_left)
        self._until("a comment that says so, and no active deployment", said_so)
        nothing_left()

    def _until_comment(self, state: str, commit: str) -> Comment:
        what = f"the comment to say {state!r} of {commit[:7]}"
        return self._until(what, lambda: self.pull.comment_in(state, commit))

    def _until_version(self, version: str) -> None:
        """Wait for an answer of the newest commit's code. To be called when the comment says that it is live.

        ministack 1.5.33 goes on answering with a function's old code, until it is changed again, where a request was
        on its way while the code was changed: one update in eighty under load. Nobody asks at that moment.
        """
        self._until(f'"{version}" at the preview\'s URL', lambda: self.preview.version_is(version))

    def _run_in_phase(self, commit: str, *phases: str) -> RunRow:
        """Wait until the run that deploys `commit` is in one of some phases, and return it as it is then."""

        def look() -> RunRow:
            run = next((run for run in reversed(self.runs) if run.commit == commit), None)
            if run is None:
                raise NotYet(f"no run of {commit[:7]}")
            expect(run.outcome is None, f"run {run.id} to be under way", run.outcome)
            if run.phase not in phases:
                raise NotYet(f"run {run.id} is in phase {run.phase!r}")
            return run

        return self._until(f"a run of {commit[:7]} in {' or '.join(phases)}", look, every=0.02)

    def push(self, files: dict[str, str], message: str) -> str:
        """Push to the pull request's branch as its author, and return the commit."""
        return self.pull.github.push(self.pull.repository, BRANCH, files, message)

    def _commits(self, versions: list[str]) -> list[str]:
        """Make commits on top of the pull request's newest without pushing them."""
        git, whole = self.pull.repository.git, notes_app.whole_program()
        return [git.commit("unpushed", {**whole, **notes_app.handler(each)}, each, start=BRANCH) for each in versions]

    def _until(self, expected: str, look: Callable[[], Found], every: float = LOOK_SECONDS) -> Found:
        return until(expected, look, PATIENCE, alive=self.cloud.service.check, every=every)

    def _bar(self, name: str) -> str:
        bar, seconds = getattr(BARS, name), getattr(self.times, name)
        return f"≤ {bar:.0f} s" if seconds <= bar else f"more than {bar:.0f} s"
