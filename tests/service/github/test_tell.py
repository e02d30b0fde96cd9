"""GitHub shows what the database says: once, and again when it changes."""

from service.models import Outcome
from tests.service.github.story import URL, Story

TRACEBACK = 'Traceback (most recent call last):\n  File "app.py", line 3\nValueError: no table, password=hunter22\n'
ERROR = {
    "id": "synth-failed",
    "what": "The app's program ended with an error.",
    "remedy": "Its last lines are below.",
    "detail": TRACEBACK,
    "location": {"path": "app.py", "line": 3, "column": 1},
}


def test_a_pull_request_from_queued_to_live(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    story.tell()
    assert "Queued" in story.comment()
    assert story.check()["status"] == "queued"
    assert story.deployments() == []

    run = story.begin(stage)
    story.tell()
    assert "Deploying" in story.comment()
    assert story.check()["status"] == "in_progress"
    assert story.deployments() == [(story.commit, "in_progress")]

    story.end(run)
    story.tell()
    body = story.comment()
    assert f"<code>pr-{story.number}</code> | ✅ Live" in body
    assert f"({URL})" in body
    assert f"[{story.commit[:7]}]({story.github.web_url}/{story.notes.full_name}/commit/{story.commit})" in body
    assert "| 12 s | [log](https://stagedoor.example.com/runs/" in body
    check = story.check()
    assert (check["status"], check["conclusion"], check["name"]) == ("completed", "success", "Stagedoor / notes")
    (deployment,) = story.github.deployments(story.notes)
    assert (deployment["state"], deployment["environment"]) == ("success", "preview")
    assert deployment["transient_environment"]
    assert not deployment["production_environment"]
    assert deployment["statuses"][0]["environment_url"] == URL


def test_nothing_is_said_when_nothing_changed(story: Story) -> None:
    story.deploy(story.add_stage())
    assert story.tell() != []
    before = len(story.recorder.calls)
    assert story.tell() == []
    assert len(story.recorder.calls) == before


def test_a_second_commit_updates_the_comment_and_ends_the_former_deployment(story: Story) -> None:
    stage = story.add_stage()
    story.deploy(stage)
    story.tell()
    first = story.github.comments(story.notes, story.number)[0]["id"]

    second = story.push()
    story.deploy(stage, second)
    story.tell()
    assert [each["id"] for each in story.github.comments(story.notes, story.number)] == [first]
    assert second[:7] in story.comment()
    assert story.deployments() == [(story.commit, "inactive"), (second, "success")]
    assert story.github.environments(story.notes) == ["preview"]


def test_a_failure_says_what_still_lives_and_why_the_newest_does_not(story: Story) -> None:
    stage = story.add_stage()
    story.deploy(stage)
    broken = story.push()
    story.deploy(stage, broken, outcome=Outcome.FAILED, error=ERROR)
    story.tell()

    body = story.comment()
    assert "❌ Failed" in body
    assert f"[{broken[:7]}]" in body
    assert "could not be deployed" in body
    assert "still live on its last good commit" in body
    assert f"[{story.commit[:7]}]" in body
    assert "ValueError: no table" in body
    assert "hunter22" not in body
    check = story.check(broken)
    assert check["conclusion"] == "failure"
    assert "ValueError: no table" in check["output"]["summary"]
    (annotation,) = story.github.annotations(story.notes, check["id"])
    assert (annotation["path"], annotation["start_line"]) == ("app.py", 3)
    assert story.deployments() == [(story.commit, "success"), (broken, "failure")]


def test_an_error_of_ours_is_shown_as_being_tried_again(story: Story) -> None:
    stage = story.add_stage()
    error = {"id": "internal-error", "what": "Something went wrong (error 12ab).", "remedy": "It will be tried again."}
    story.deploy(stage, outcome=Outcome.ERRORED, error=error)
    story.tell()
    assert "Trying again" in story.comment()
    assert "error 12ab" in story.comment()
    assert story.check()["status"] == "in_progress"
    assert story.deployments() == [(story.commit, "in_progress")]

    story.end(story.begin(stage))
    story.tell()
    assert story.check()["conclusion"] == "success"
    assert story.deployments() == [(story.commit, "success")]


def test_of_ten_pushes_the_check_of_the_one_that_was_passed_over_ends(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    story.tell()
    newest = story.push()
    story.want(stage, newest)
    story.tell()
    assert (story.check()["status"], story.check()["conclusion"]) == ("completed", "cancelled")
    assert story.check(newest)["status"] == "queued"


def test_a_removed_stage_is_said_to_be_gone_and_comes_back_when_reopened(story: Story) -> None:
    stage = story.add_stage()
    story.deploy(stage)
    story.tell()
    story.want(stage, None)
    run = story.begin(stage)
    story.tell()
    assert "Being removed" in story.comment()
    assert story.deployments() == [(story.commit, "success")]

    story.end(run)
    story.tell()
    assert "Removed" in story.comment()
    assert "Nothing of this stage is left" in story.comment()
    assert URL not in story.comment()
    assert story.deployments() == [(story.commit, "inactive")]

    story.deploy(stage)
    story.tell()
    assert "✅ Live" in story.comment()
    assert story.deployments() == [(story.commit, "inactive"), (story.commit, "success")]


def test_a_pull_request_closed_while_it_deploys(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    run = story.begin(stage)
    story.tell()
    story.want(stage, None)
    story.end(run, outcome=Outcome.SUPERSEDED)
    story.tell()
    story.end(story.begin(stage))
    story.tell()
    assert "Removed" in story.comment()
    assert story.check()["conclusion"] == "cancelled"
    assert story.deployments() == [(story.commit, "inactive")]


def test_two_apps_share_one_comment_and_have_a_check_each(story: Story) -> None:
    story.deploy(story.add_stage("notes"))
    story.deploy(story.add_stage("admin"), outputs={"Admin": {"Url": "https://admin.example.com/"}})
    story.tell()
    body = story.comment()
    assert body.index("#### admin") < body.index("https://admin.example.com/") < body.index("#### notes")
    names = {run["name"] for run in story.github.check_runs(story.notes, story.commit)}
    assert names == {"Stagedoor / admin", "Stagedoor / notes"}


def test_only_the_outputs_that_are_to_be_shown_are(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit, show=("*Url",))
    story.end(story.begin(stage), outputs={"Notes": {"SiteUrl": "https://a.example.com", "TableName": "t-1"}})
    story.tell()
    assert "SiteUrl" in story.comment()
    assert "t-1" not in story.comment()


def test_a_wrong_configuration_is_shown_at_its_line(story: Story) -> None:
    place = {"path": "stagedoor.toml", "line": 4, "column": 1}
    story.note(
        id="config-invalid",
        what="stagedoor.toml cannot be used.",
        remedy="Put right what is named.",
        errors=[{**place, "what": "Unknown key 'pth'.", "remedy": "Did you mean 'path'?"}],
    )
    story.tell()
    assert "<code>stagedoor.toml:4</code> Unknown key" in story.comment()
    check = story.check()
    assert check["conclusion"] == "failure"
    (annotation,) = story.github.annotations(story.notes, check["id"])
    assert (annotation["path"], annotation["start_line"]) == ("stagedoor.toml", 4)

    story.note()
    story.tell()
    assert story.check()["conclusion"] == "neutral"
    assert "Unknown key" not in story.comment()


def test_a_fork_gets_a_note_and_a_neutral_check(story: Story) -> None:
    story.note(id="fork", what="This pull request comes from a fork.", remedy="A maintainer can push it to a branch.")
    story.tell()
    assert "comes from a fork" in story.comment()
    assert story.check()["conclusion"] == "neutral"
    assert story.deployments() == []


def test_a_repository_without_an_app_hears_nothing(story: Story) -> None:
    assert story.tell() == []
    assert story.recorder.calls == []
