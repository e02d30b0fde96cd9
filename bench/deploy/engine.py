"""Our engine on a ready assembly, as a program: `python -m bench.deploy.engine DIRECTORY STAGE`.

What `stagedoor deploy` does after its synth, in a process of its own, as `cdk deploy --app DIRECTORY` does it.
"""

import sys
import tempfile
from pathlib import Path

from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.cli import collect_seldom, end_at_once
from stagedoor.cli.account import find_target
from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients, new_session
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.events import silent
from stagedoor.naming import StageIdentity
from stagedoor.target import Trust

QUALIFIER = "hnb659fds"


def stage(name: str) -> StageIdentity:
    """Return a stage of the bench's own."""
    return StageIdentity("shop", name, f"shop-{name}", "local/bench", "local")


def deploy_assembly(directory: Path, identity: StageIdentity, clients: Clients, *, alone: bool = True) -> Deployed:
    """Take a ready assembly to a stage, in the account that the environment names.

    `alone`, as the command line is, stacks are changed at once; else by change sets, as the service does it.
    """
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as folder:
        assembly = read_assembly(directory)
        inspect_assembly(assembly, clients.target)
        rewritten = rewrite_assembly(assembly, identity, clients.target, Path(folder) / "stage.out")
        ledger = MemoryLedger(identity.stage)
        return deploy(rewritten.assembly, identity, clients, ledger, silent, alone=alone)


def main() -> None:
    """Deploy what the arguments name, as the command line does it."""
    collect_seldom()
    directory, name = sys.argv[1:]
    session = new_session()
    target = find_target(session, None, QUALIFIER, Trust.PREVIEW)
    deploy_assembly(Path(directory), stage(name), Clients(target, own=session))
    end_at_once(0)


if __name__ == "__main__":
    main()
