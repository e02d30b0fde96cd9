"""The comment in each state, word for word where it matters, and whatever an app puts into it."""

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from service.github.messages import StageState
from service.github.report import (
    BODY_LIMIT,
    Problem,
    PullReport,
    StageReport,
    Warned,
    comment_body,
    marker,
    tail,
)

MARK = marker("svc", 7)
WEB = "https://github.com/acme/notes"
OLD, NEW = "a" * 40, "b" * 40
LIVE = StageReport(
    app="notes",
    stage="pr-1",
    state=StageState.LIVE,
    commit=OLD,
    live_commit=OLD,
    url="https://abc.example.com/",
    outputs=(("Url", "https://abc.example.com/"), ("Table", "notes-pr-1")),
    seconds=12.3,
    run_url="https://stagedoor.example.com/runs/9",
)
PROBLEM = Problem("synth-failed", "The app's program failed.", "Mend it.", "ValueError: no table", "app.py", 3)
FAILED = replace(LIVE, state=StageState.FAILED, commit=NEW, problem=PROBLEM)


def body_of(*stages: StageReport, note: Problem | None = None, errors: tuple[Problem, ...] = ()) -> str:
    return comment_body(PullReport(MARK, WEB, stages, note, errors))


def page(body: str) -> str:
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(body))


def seen(body: str) -> str:
    """What a person reads, one space between words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page(body))).replace("\u200b", "").split())


def test_live() -> None:
    body = body_of(LIVE)
    assert body.startswith("<!-- stagedoor:svc:7 -->\n### Stagedoor\n")
    assert "pr-1 ✅ Live https://abc.example.com/ aaaaaaa 12 s log" in seen(body)
    assert "Url https://abc.example.com/ Table notes-pr-1" in seen(body)
    links = re.findall(r'href="([^"]*)"', page(body))
    assert links == ["https://abc.example.com/", f"{WEB}/commit/{OLD}", "https://stagedoor.example.com/runs/9"]


def test_failed_says_what_why_and_what_is_still_live() -> None:
    text = seen(body_of(FAILED))
    assert "pr-1 ❌ Failed https://abc.example.com/ bbbbbbb 12 s log" in text
    assert "bbbbbbb could not be deployed." in text
    assert "The app's program failed. ( app.py:3 ) Mend it." in text
    assert "still live on its last good commit, aaaaaaa" in text
    assert "The last lines ValueError: no table" in text


def test_failed_before_anything_was_live() -> None:
    text = seen(body_of(replace(FAILED, live_commit="", url="", outputs=())))
    assert "Nothing of it is live." in text
    assert "last good commit" not in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (StageState.QUEUED, "⏳ Queued"),
        (StageState.DEPLOYING, "🚧 Deploying"),
        (StageState.RETRYING, "🔁 Trying again"),
        (StageState.CANCELLED, "⏹️ Cancelled"),
        (StageState.REMOVING, "🧹 Being removed"),
    ],
)
def test_on_the_way(state: StageState, words: str) -> None:
    first = StageReport("notes", "pr-1", state, commit=NEW)
    assert f"pr-1 {words} - bbbbbbb - -" in seen(body_of(first))


def test_removed() -> None:
    assert "Nothing of this stage is left in AWS." in seen(body_of(StageReport("notes", "pr-1", StageState.REMOVED)))


def test_a_configuration_error_names_file_line_and_remedy() -> None:
    note = Problem("config-invalid", "stagedoor.toml cannot be used.", "Put right what is named.")
    error = Problem("", "Unknown key 'pth'.", "Did you mean 'path'?", path="stagedoor.toml", line=4)
    assert "stagedoor.toml:4 Unknown key 'pth'. Did you mean 'path'?" in seen(body_of(note=note, errors=(error,)))


HOSTILE = st.text(max_size=60) | st.sampled_from(
    ["| a | b |", "</details>", "```", "<!-- x -->", "@acme/all", "-->", "[x](javascript:alert(1))", "<img src=x>"]
)


@given(HOSTILE, HOSTILE, HOSTILE)
@settings(deadline=None)
def test_whatever_an_app_says_the_page_has_the_same_parts(name: str, value: str, detail: str) -> None:
    tame = page(body_of(replace(FAILED, outputs=(("n", "v"),), problem=replace(PROBLEM, detail="x"))))
    wild_problem = replace(PROBLEM, what=name, remedy=value, detail=detail + "x")
    wild = page(body_of(replace(FAILED, outputs=((name, value),), problem=wild_problem)))
    assert re.findall(r"</?[a-z!][^\s>]*", wild) == re.findall(r"</?[a-z!][^\s>]*", tame)


def test_secrets_in_outputs_and_tracebacks_are_taken_out() -> None:
    token = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
    problem = Problem.of({"id": "x", "what": f"Bad {token}", "remedy": "", "detail": f"token={token}"})
    assert token not in body_of(replace(FAILED, outputs=(("T", token),), problem=problem))


def test_a_comment_never_outgrows_github_and_keeps_every_stage() -> None:
    many = tuple((f"Output{number}", "ß" * 900) for number in range(200))
    stages = [replace(FAILED, app=f"app{number}", outputs=many) for number in range(30)]
    body = body_of(*stages)
    assert len(body.encode()) <= BODY_LIMIT
    assert all(f"#### app{number}\n" in body for number in range(30))
    assert "the rest is in the [log](https://stagedoor.example.com/runs/9)" in body


def test_more_apps_than_a_comment_can_hold() -> None:
    body = body_of(*(replace(LIVE, app=f"app{number}") for number in range(500)))
    assert len(body.encode()) <= BODY_LIMIT
    assert re.search(r"And \d+ more apps", body)


def test_the_tail_of_a_traceback_is_its_end() -> None:
    text = tail("\n".join(f"line {number}" for number in range(100)))
    assert text.splitlines()[0] == "line 60"
    assert text.endswith("line 99")
    assert len(tail("x" * 50_000)) <= 4_001


def test_that_code_was_swapped_in_place() -> None:
    assert "Code swapped in place" in seen(body_of(replace(LIVE, hotswapped=True)))
    assert "Code swapped in place" not in seen(body_of(LIVE, replace(FAILED, hotswapped=True)))


def test_what_the_app_warns_of() -> None:
    rows = [
        {"construct_path": "Web/Fn", "what": "python3.9 is old.", "remedy": ""},
        {
            "stack": "S",
            "logical_id": "Jobs",
            "construct_path": "Web/Jobs",
            "what": "It is fixed.",
            "remedy": "Leave it.",
        },
    ]
    told = tuple(Warned.of(row) for row in rows)
    text = seen(body_of(replace(LIVE, warnings=told)))
    assert "2 warnings Web/Fn python3.9 is old. Web/Jobs It is fixed. Leave it." in text
    many = tuple(Warned("A", f"number {count}") for count in range(400))
    text = seen(body_of(replace(LIVE, warnings=many)))
    assert "400 warnings" in text
    assert "number 9 and 390 more, in the log" in text


def test_a_hostile_warning_is_only_text() -> None:
    bad = Warned.of(
        {"construct_path": "</code><img src=x>", "what": "</details>@acme/all ![x](http://a.b/c) `x` " * 200}
    )
    body = body_of(replace(LIVE, warnings=(bad,)))
    assert "<img" not in page(body)
    assert "@acme" not in body
    assert page(body).count("</details>") == 1
    assert len(body) < 10_000


def test_what_is_left_of_a_removed_stage() -> None:
    removed = replace(LIVE, state=StageState.REMOVED, outputs=(), live_commit="", url="")
    kept = Warned.of({"physical_id": "files-1", "type": "AWS::S3::Bucket", "reason": "its DeletionPolicy is Retain"})
    assert "Nothing of this stage is left in AWS." in seen(body_of(removed))
    text = seen(body_of(replace(removed, warnings=(kept,))))
    assert "This is left of it in AWS: files-1 (AWS::S3::Bucket) its DeletionPolicy is Retain" in text
    assert "Nothing of this stage" not in text
