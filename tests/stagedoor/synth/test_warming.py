"""Warming is told again only where it could still succeed; what it costs is never the synth."""

from pathlib import Path

import pytest

from stagedoor.events import silent
from stagedoor.synth.executor import Completed, TookTooLong
from stagedoor.synth.warming import cdk_modules, warm


class Ending:
    """An executor whose commands end as a test says; the real one needs minutes and a CDK for it."""

    def __init__(self, *ends: int | Exception) -> None:
        self.ends = list(ends)
        self.runs = 0

    def run(self, _command: object, _on_line: object) -> Completed:
        self.runs += 1
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return Completed(end, 0.0, 0)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    library = tmp_path / "environment" / "venv" / "lib" / "python3.11" / "site-packages" / "aws_cdk"
    library.mkdir(parents=True)
    return tmp_path / "environment"


@pytest.mark.parametrize(
    ("first", "runs"),
    [(0, 1), (1, 1), (137, 2), (TookTooLong("It took too long.", "Wait."), 1)],
    ids=["done", "without success", "cut short", "past a limit"],
)
def test_it_is_done_again_only_where_it_was_cut_short(tmp_path: Path, environment: Path, first, runs: int):
    executor = Ending(first, 0)
    warm(environment, tmp_path, executor, silent)
    warm(environment, tmp_path, executor, silent)
    assert executor.runs == runs


@pytest.mark.parametrize(("ends", "runs"), [((0,), 1), ((1, 0), 2)], ids=["done", "without success"])
def test_an_app_that_needs_less_finds_it_done(tmp_path: Path, environment: Path, ends: tuple[int, ...], runs: int):
    library = next(environment.glob("venv/lib/python*/site-packages/aws_cdk"))
    for name in ("aws_s3", "aws_sqs"):
        (library / name).mkdir()
        (library / name / "__init__.py").touch()
    executor, program = Ending(*ends, 0), tmp_path / "app.py"
    program.write_text("from aws_cdk import aws_s3, aws_sqs")
    warm(environment, tmp_path, executor, silent)
    program.write_text("from aws_cdk import aws_sqs")
    warm(environment, tmp_path, executor, silent)
    assert executor.runs == runs
    (library / "aws_sns").mkdir()
    (library / "aws_sns" / "__init__.py").touch()
    program.write_text("from aws_cdk import aws_sns")
    warm(environment, tmp_path, Ending(0), silent)
    assert len(list(environment.glob("warm-*"))) == runs + 1


def test_what_our_constructs_load_is_warmed_for_apps_that_name_none_of_it(tmp_path: Path, environment: Path):
    library = next(environment.glob("venv/lib/python*/site-packages/aws_cdk"))
    for name in ("aws_dynamodb", "aws_lambda", "aws_cloudfront"):
        (library / name).mkdir()
        (library / name / "__init__.py").touch()
    (tmp_path / "app.py").write_text("from stagedoor.constructs import App, Function, Table\n")
    assert cdk_modules(tmp_path, environment) == ["aws_cdk", "aws_cdk.aws_dynamodb", "aws_cdk.aws_lambda"]
