"""What others say of the stage's assembly: CDK's own schema holds, and cfn-lint finds no more than in the app's."""

import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path

from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.conftest import TARGET, cdk_python, identity, python_with, without

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


def test_what_is_written_passes_cdks_own_schema(app: Assembly, tmp_path: Path) -> None:
    stage = rewrite_assembly(without(app, "Fixed"), identity("pr-1"), TARGET, tmp_path / "pr-1").assembly
    packages = cdk_python().parents[1].glob("lib/*/site-packages/aws_cdk/cloud_assembly_schema/_jsii/*.tgz")
    with tarfile.open(next(packages)) as archive:
        archive.extractall(tmp_path, filter="data")
    schemas = {name: tmp_path / "package" / "schema" / f"{name}.schema.json" for name in ("cloud-assembly", "assets")}
    manifest, assets = (Draft7Validator(json.loads(schemas[name].read_text())) for name in schemas)
    written = json.loads((stage.directory / "manifest.json").read_text())
    manifest.validate(written)
    for file in stage.directory.glob("*.assets.json"):
        assets.validate(json.loads(file.read_text()))
    assert not manifest.is_valid({**written, "artifacts": [written["artifacts"]]})
