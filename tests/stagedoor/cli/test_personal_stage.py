"""Commands without `--stage` are about a stage of one's own; `deploy` with names is about these stacks."""

from pathlib import Path

from stagedoor.cli.service import Logins
from tests.stagedoor.cli.command import Command

TWO = """
import json, os, pathlib
out = pathlib.Path(os.environ["CDK_OUTDIR"])
environment = f"aws://{os.environ['CDK_DEFAULT_ACCOUNT']}/{os.environ['CDK_DEFAULT_REGION']}"
artifacts = {}
for name, needs in (("Data", []), ("Api", ["Data"]), ("Site", [])):
    word = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": pathlib.Path("word").read_text()}}
    outputs = {"Name": {"Value": {"Ref": "Word"}}, f"StagedoorBindingParameter{name}": {"Value": {"Ref": "Word"}}}
    (out / f"{name}.template.json").write_text(json.dumps({"Resources": {"Word": word}, "Outputs": outputs}))
    artifacts[name] = {"type": "aws:cloudformation:stack", "environment": environment, "dependencies": needs,
                       "properties": {"templateFile": f"{name}.template.json"}}
(out / "manifest.json").write_text(json.dumps({"version": "48.0.0", "artifacts": artifacts}))
"""


def test_a_stage_of_ones_own_is_named_once_and_kept(stagedoor: Command, tmp_path: Path):
    own = stagedoor.at(stagedoor.folder, XDG_CONFIG_HOME=str(tmp_path / "config"))
    Logins(tmp_path / "config" / "stagedoor" / "logins.json").keep("http://one.example", "secret", "Mona")
    assert own.result("deploy")["stage"] == "dev-mona"
    Logins(tmp_path / "config" / "stagedoor" / "logins.json").keep("http://two.example", "secret", "ann")
    assert own.result("diff")["stage"] == "dev-mona"
    refused = own("remove")
    assert refused.returncode == 1
    assert "Removing the stage dev-mona needs a yes" in refused.stderr
    assert own.result("remove", "--yes")["stage"] == "dev-mona"


def test_only_the_stacks_that_are_named_and_what_they_need(stagedoor: Command):
    (stagedoor.folder / "app.py").write_text(TWO)
    unknown = stagedoor("deploy", "Dat", "--stage", "dev")
    assert unknown.returncode == 1
    assert "No stack of the app is called 'Dat'.\nThere are: Api, Data, Site." in unknown.stderr
    first = stagedoor.result("deploy", "A*", "--stage", "dev")
    assert list(first["outputs"]) == ["Data", "Api"]
    assert list(first["outputs"]["Api"]) == ["Name"]  # what is for the runtime is not for people
    everything = stagedoor.result("deploy", "--stage", "dev")
    (stagedoor.folder / "word").write_text("changed")
    changed = stagedoor("deploy", "Site", "--stage", "dev").stderr
    assert "-Site: updated" in changed
    assert "-Data" not in changed
    assert "StagedoorBinding" not in stagedoor("diff", "--stage", "other").stdout
    assert len(stagedoor.result("remove", "--stage", "dev", "--yes")["deleted"]) == len(everything["stacks"]) == 3
