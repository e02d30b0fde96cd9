"""The small runner itself: what it must do as GitHub's does, so that the other tests mean something."""

from pathlib import Path

import pytest

from tests.action.expressions import condition, evaluate, interpolate
from tests.action.runner_commands import pairs_of

ACTION = r"""
inputs:
  text: {default: "${{ github.repository }}"}
  empty: {default: ""}
outputs:
  both: {value: "${{ steps.one.outputs.plain }} ${{ steps.one.outputs.long }}"}
  first: {value: "${{ steps.never.outputs.x || steps.two.outputs.seen }}"}
runs:
  using: composite
  steps:
    - id: one
      shell: bash
      env: {TEXT: "${{ inputs.text }}"}
      run: |
        echo "plain=$TEXT" >> "$GITHUB_OUTPUT"
        printf 'long<<x\na\nb\nx\n' >> "$GITHUB_OUTPUT"
        echo "FROM_ONE=env" >> "$GITHUB_ENV"
        mkdir -p bin && printf '#!/bin/sh\necho found' > bin/tool && chmod +x bin/tool
        echo "$PWD/bin" >> "$GITHUB_PATH"
        echo "# summary" >> "$GITHUB_STEP_SUMMARY"
        echo "::set-output name=old::way"
    - id: never
      if: inputs.empty != ''
      shell: bash
      run: echo "x=y" >> "$GITHUB_OUTPUT"
    - id: two
      shell: bash
      run: echo "seen=$FROM_ONE-$(tool)" >> "$GITHUB_OUTPUT"
    - id: bad
      shell: bash
      run: |
        false | cat
        echo "not reached"
    - id: skipped
      shell: bash
      run: echo "not reached either"
    - id: anyway
      if: always() && steps.never.outcome == 'skipped' && steps.bad.outcome == 'failure'
      shell: bash
      run: echo "in any case"
"""


def test_steps_files_conditions_and_outputs(job, tmp_path: Path):
    (tmp_path / "action").mkdir()
    (tmp_path / "action" / "action.yml").write_text(ACTION)
    here = job()
    assert not here.use(tmp_path / "action")
    assert here.ran == ["one", "two", "bad", "anyway"]
    assert here.outputs == {"both": "acme/notes a\nb", "first": "env-found"}
    assert here.heard.outputs == {"old": "way"}
    assert here.summary == "# summary\n"
    assert here.heard.lines == ["in any case"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'it''s'", "it's"),
        ("a.b-c", 7),
        ("a.missing.deep", None),
        ("a.missing || 'x' && a.b-c", 7),
        ("!a.missing == true", True),
        ("(a.b-c == '7') && 'A' == 'a'", True),
        ("a.b-c != 7", False),
    ],
)
def test_expressions(text: str, value: object):
    assert evaluate(text, {"a": {"b-c": 7}}, {}) == value


def test_a_condition_asks_for_success_unless_it_names_a_status():
    functions = {"success": lambda: False, "always": lambda: True}
    assert not condition("1 == 1", {}, functions)
    assert not condition("", {}, functions)
    assert condition("${{ always() && 1 == 1 }}", {}, functions)
    assert interpolate("a ${{ 1 == 1 }} ${{ null }}.", {}, functions) == "a true ."


@pytest.mark.parametrize("text", ["no form at all", "a<<x\nnever ended", "<<x\nx", "a<<\nb"])
def test_a_file_that_says_nothing_readable_fails_its_step(text: str):
    with pytest.raises(ValueError):
        pairs_of(text)
