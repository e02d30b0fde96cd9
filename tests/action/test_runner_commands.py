"""What others wrote is text in the log, and nothing else; what we say of it can be read back."""

import io
from pathlib import Path

import pytest

from action.refusal import Place, Refused
from action.runner import Runner
from tests.action.runner_commands import Heard, lines_of, pairs_of

INJECTIONS = [
    "::set-output name=url::https://evil.test",
    "   ::error file=a.py,line=1::no",
    "\t::add-mask::e",
    "text ##[add-mask]e",
    "##[error]no",
    "::stop-commands::forever",
    "::add-matcher::/tmp/matcher.json",
    "::set-env name=NODE_OPTIONS::--require /tmp/a.js",
    "first\r::error::after a carriage return",
    "first\r\n::error::after both",
    "first\x0b::error::after a vertical tab",
    "first\u2028::error::after a line separator",
    "\x1b[31m::error::in red",
    "\x08::error::after a backspace",
    "\u200b::error::after what is not seen",
    "::endgroup::",
    "\ufeff::error::after a mark",
    "%0A::error::escaped",
]


def heard(say) -> Heard:
    out = io.StringIO()
    say(Runner({}, out))
    found = Heard()
    for line in lines_of(out.getvalue()):
        found.take(line)
    return found


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("source", ["", "synth"])
def test_a_line_of_somebody_else_is_no_command(text: str, source: str):
    found = heard(lambda runner: runner.line(text, source))
    assert (found.annotations, found.masks, found.outputs, found.others, found.stopped) == ([], [], {}, [], "")


def test_the_runner_of_these_tests_does_hear_them():
    found = Heard()
    for text in ("::set-output name=a::b", "x ##[add-mask]secret", "  ::error file=a.py,line=3::no%0Ano", "::echo::on"):
        found.take(text)
    assert found.outputs == {"a": "b"}
    assert found.masks == ["secret"]
    assert found.annotations == [("error", {"file": "a.py", "line": "3"}, "no\nno")]
    assert found.others == ["echo"]


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_error_says_it_in_one_annotation(text: str):
    refused = Refused("synth-failed", text, "Do better.", detail=text, place=Place("a,b:c.py", 3, 4))
    found = heard(lambda runner: runner.error(refused))
    [(level, where, said)] = found.annotations
    assert level == "error"
    assert where == {"file": "a,b:c.py", "line": "3", "col": "4", "title": "Stagedoor: synth-failed"}
    assert said.endswith("Do better.")
    assert (found.masks, found.outputs, found.others, found.stopped) == ([], {}, [], "")


def test_groups_do_not_nest_and_are_ended():
    found = heard(lambda runner: (runner.open("one\n::error::no"), runner.open("two"), runner.close()))
    assert [line for line in found.lines if line] == [
        "##[group]one ::error::no",
        "##[endgroup]",
        "##[group]two",
        "##[endgroup]",
    ]


def test_a_value_cannot_end_early_and_set_another_output(tmp_path: Path):
    file = tmp_path / "output"
    runner = Runner({"GITHUB_OUTPUT": str(file)}, io.StringIO())
    value = "a\nEOF\nurl<<x\nhttps://evil.test\nx\nurl=https://evil.test\nstagedoor_\n"
    runner.output("stage", value)
    runner.output("stage2", "plain")
    assert pairs_of(file.read_text()) == {"stage": value, "stage2": "plain"}
    delimiters = {line.partition("<<")[2] for line in file.read_text().splitlines() if line.startswith("stage")}
    assert len(delimiters - {""}) >= 2


def test_a_summary_that_is_too_long_is_cut_and_not_lost(tmp_path: Path):
    file = tmp_path / "summary"
    Runner({"GITHUB_STEP_SUMMARY": str(file)}, io.StringIO()).summary("ä" * 1024 * 1024)
    assert 1_000_000 < file.stat().st_size <= 1024 * 1024
