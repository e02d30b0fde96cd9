"""The action imports nothing of ours on a runner, so what it must have in common is held here."""

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from action import env_files, program, summary, workflow
from action.app_folder import find_app
from action.engine import UV_VERSION
from action.places import place_in
from action.refusal import Place, Refused
from service.github import messages, report
from stagedoor import naming
from stagedoor.errors import UserError
from stagedoor.synth import env_files as synth_env_files
from stagedoor.synth import places
from stagedoor.synth import program as synth_program
from stagedoor.synth.settings import context_of, read_settings
from stagedoor.target import Trust
from tests.action.job import OLD, ROOT

NEWER_ONLY = {"engine.py", "alone.py", "telling.py"}
"""The third mode runs on the engine's own Python."""


@pytest.mark.parametrize("branch", ["main", "fix/ä", "pr-7", "UPPER", "1st", "-", "a" * 60, "feature/x_y", "x$(id)::a"])
def test_a_branch_has_the_same_stage(branch: str):
    assert workflow.stage_of_branch(branch) == naming.stage_name_for_branch(branch)


@pytest.mark.parametrize("name", ["notes", "my.app", "9lives", "_", "a" * 60, "notes-api"])
def test_an_app_has_the_same_name_and_parameters(name: str):
    assert workflow.app_of(name) == naming.app_name(name)
    assert workflow.parameter_folder(name, "github.com/42") == naming.parameter_folder(name, "github.com/42")


def test_the_same_stages_are_to_last():
    for name in (*naming.LASTING, "prod-eu", "products", "pr-7", "dev"):
        assert workflow.is_lasting(name) == naming.is_lasting(name)


@pytest.mark.parametrize("seconds", [None, 0.4, 12.3, 125.0])
@pytest.mark.parametrize(
    "refused", [None, Refused("synth-failed", "It *failed* @mona", "Do `x`", place=Place("a.py", 3))]
)
def test_the_summary_has_the_comments_table(seconds: float | None, refused: Refused | None):
    outputs = {"Api": {"Url": "https://x.test/$a|b", "Name": "<b>|x|</b>"}, "Web": {"Url": "https://y.test"}}
    result = summary.Result(
        "no|tes", "pr-7", "failed" if refused else "succeeded", "c" * 40, "https://github.com/acme/notes",
        "https://s.test/runs/1", "https://x.test/a?b=`c`", outputs, seconds, refused=refused,
    )  # fmt: skip
    stage = report.StageReport(
        app="no|tes",
        stage="pr-7",
        state=messages.StageState.FAILED if refused else messages.StageState.LIVE,
        commit="c" * 40,
        live_commit="" if refused else "c" * 40,
        url="https://x.test/a?b=`c`",
        outputs=(("Api.Url", "https://x.test/$a|b"), ("Name", "<b>|x|</b>"), ("Web.Url", "https://y.test")),
        seconds=seconds,
        run_url="https://s.test/runs/1",
    )
    body = report.comment_body(report.PullReport("", "https://github.com/acme/notes", (stage,)))
    ours = summary.markdown(result, ("*",))
    tables = [block for block in body.split("\n\n") if block.startswith(("|", "####"))]
    assert len(tables) == 3
    assert [block for block in ours.split("\n\n") if block.strip().startswith(("|", "####"))] == [
        *tables[:2],
        tables[2].rstrip() + "\n",
    ]
    if refused:
        problem = report.Problem("x", refused.what, refused.remedy, path="a.py", line=3)
        words = report.comment_body(report.PullReport("", "", (replace(stage, problem=problem),)))
        said = next(block for block in ours.split("\n\n") if "failed" in block and not block.startswith("|"))
        assert said in words


def test_states_are_called_the_same():
    assert set(summary.STATES.values()) <= set(messages.STATE_WORDS.values())


def test_a_program_is_told_what_the_service_tells_it(tmp_path: Path):
    context = {"a": 1, "large": "x" * 200_000, "@aws-cdk/core:newStyleStackSynthesis": True}
    (tmp_path / "cdk.json").write_text(json.dumps({"app": "python3 app.py", "build": "make", "context": context}))
    (tmp_path / "cdk.context.json").write_text('{"a": 2, "b": 3}')
    app = find_app(tmp_path, "", "stagedoor.toml", "acme/notes")
    repository = "github.com/4242"
    ours = program.variables(app, "pr-7", repository, tmp_path / "cdk.out", tmp_path)
    request = synth_program.SynthRequest(
        tmp_path, tmp_path / "cdk.out", "pr-7", "1" * 12, "eu-west-1", tmp_path, Trust.PREVIEW,
        parameters=naming.parameter_folder("notes", repository),
    )  # fmt: skip
    theirs = synth_program.read_program(request)
    assert app.lines == theirs.lines
    assert json.loads(Path(ours.pop("CONTEXT_OVERFLOW_LOCATION_ENV")).read_text()) == theirs.large
    assert ours.pop("CDK_OUTDIR") == str(tmp_path / "cdk.out")
    here = {"CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION", "CDK_VALIDATION", "STAGEDOOR_BUNDLING", "npm_config_offline"}
    assert ours == {name: value for name, value in theirs.variables.items() if name not in here}
    assert program.context_of(app, "pr-7") == context_of(read_settings(tmp_path, tmp_path), {"stagedoor:stage": "pr-7"})


_PIECES = st.sampled_from(
    [*"A=='\"#\\$ \t\n\r{}:-x", "export ", "NAME=", "B=${NAME:-d}", "'q'", '"q"', "\\n", "\\'", "\n#c\n", "\r\n", "é"]
)


@given(st.lists(_PIECES, max_size=25).map("".join), st.sampled_from([{}, {"NAME": "ours"}]))
def test_env_files_are_read_alike(text: str, ours: dict[str, str]):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / ".env").write_bytes(text.encode())
        (folder / ".env.pr-7").write_text("LAST=${A}${NAME}")
        theirs = _read(lambda: synth_program._told(synth_env_files.read_env_files(folder, folder, "pr-7", ours)))
        assert _read(lambda: env_files.read_env_files(folder, folder, "pr-7", ours)) == theirs


def _read(read: Callable[[], dict[str, str]]) -> Any:
    """Return what was read, or what is said of the line that is none."""
    try:
        return read()
    except Refused as refused:
        return refused.id, str(refused), refused.place and (refused.place.path, refused.place.line)
    except UserError as error:
        return error.id, str(error), error.location and (error.location.path, error.location.line)


def test_a_place_is_found_alike(tmp_path: Path):
    (tmp_path / "app.py").write_text("")
    (tmp_path / "app.ts").write_text("")
    for printed in (
        ['  File "app.py", line 3, in <module>', '  File "/usr/lib/python3/ast.py", line 9, in f'],
        [f"    at Object.<anonymous> ({tmp_path}/app.ts:4:5)"],
        ["app.ts(7,8): error TS2304"],
        ["nothing"],
    ):
        found, theirs = place_in(printed, tmp_path, tmp_path), places.location_in(printed, tmp_path, tmp_path)
        assert (found and (found.path, found.line, found.column)) == (
            theirs and (theirs.path, theirs.line, theirs.column)
        )


def test_the_engine_is_installed_by_the_uv_of_the_makefile():
    assert f"UV_VERSION := {UV_VERSION}\n" in (ROOT / "Makefile").read_text()


def test_only_the_third_mode_imports_more_than_the_standard_library():
    for file in (ROOT / "action").glob("*.py"):
        nodes = list(ast.walk(ast.parse(file.read_text())))
        imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        imported |= {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
        imported = {name.split(".")[0] for name in imported}
        foreign = imported - {*sys.stdlib_module_names, "action"}
        assert foreign <= ({"service"} if file.name == "telling.py" else set()), file.name
    modules = "import action.ask, action.synth, action.engine, action.steps, sys"
    check = f"{modules}; print([n for n in sys.modules if n.split('.')[0] in ('service', 'stagedoor')])"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {check}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.skipif(OLD is None, reason="there is no Python 3.9 here")
def test_the_first_two_modes_run_on_the_oldest_python_of_runners():
    names = [file.stem for file in (ROOT / "action").glob("[a-z]*.py") if file.name not in NEWER_ONLY]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(f'action.{name}' for name in names)}"
    subprocess.run([str(OLD), "-I", "-S", "-c", code], check=True)
