"""An app's program, run for nobody's account: for commands that only want to know what the app says."""

from pathlib import Path

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.deploying import synth_request
from stagedoor.cli.work import Work
from stagedoor.naming import check_stage_name
from stagedoor.synth.executor import LocalProcessExecutor
from stagedoor.synth.synthesis import synthesize
from stagedoor.target import Target

_NOBODYS_ACCOUNT = "000000000000"
_ANY_REGION = "us-east-1"


def synthesized_without_account(work: Work, app: AppFolder, stage: str, folder: Path) -> Assembly:
    """Run the app's program for nobody's account, and return the assembly that it wrote; AWS is asked nothing."""
    region = work.options.region or _ANY_REGION
    request = synth_request(app, check_stage_name(stage), Target("nobody", _NOBODYS_ACCOUNT, region), folder)
    with work.phase("synth"):
        return read_assembly(synthesize(request, LocalProcessExecutor(), work.emit))
