"""What cfn-lint finds in the stage's templates it found in the app's, too."""

import json
import subprocess
from collections import Counter
from pathlib import Path

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.conftest import TARGET, identity, python_with, without

CFN_LINT = "cfn-lint==1.58.0"


def templates(assembly: Assembly) -> list[Path]:
    """Each stack's template and the nested ones, whose files have other names after rewriting."""
    nested = [asset.source for stack in assembly.stacks for asset in stack.assets if asset.source.suffix == ".json"]
    return [*(stack.template_path for stack in assembly.stacks), *nested]


def test_rewriting_adds_nothing_that_a_linter_finds(app: Assembly, tmp_path: Path) -> None:
    own = without(app, "Fixed")
    stage = rewrite_assembly(own, identity("pr-1"), TARGET, tmp_path / "pr-1").assembly
    lint = python_with(CFN_LINT).with_name("cfn-lint")
    files = [*templates(own), *templates(stage)]
    command = [str(lint), "--non-zero-exit-code", "none", "--format", "json", "--", *map(str, files)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    by_place = Counter((Path(one["Filename"]).is_relative_to(stage.directory), one["Rule"]["Id"]) for one in found)
    before = Counter({rule: count for (rewritten, rule), count in by_place.items() if not rewritten})
    after = Counter({rule: count for (rewritten, rule), count in by_place.items() if rewritten})
    assert len(templates(own)) == len(templates(stage)) > 5
    assert before
    assert after <= before
