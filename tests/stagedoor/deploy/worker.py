"""A process that deploys one scripted stage, so that a test can kill or freeze it: `python -m … DIRECTORY RUN VALUE`.

It loses its lease when the file `lost` is in the directory.
"""

import sys
from pathlib import Path

from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.errors import LeaseLost
from stagedoor.events import Emit, silent
from stagedoor.target import Target
from tests.cloudformation.account import ACCOUNT
from tests.stagedoor.deploy.assemblies import IDENTITY, pair

TARGET = Target(name="scripted", account=ACCOUNT, region="us-east-1")


def deploy_pair(directory: Path, run: str, value: str, emit: Emit = silent) -> Deployed:
    """Deploy two stacks, the second after the first."""

    def check() -> None:
        if (directory / f"lost-{run}").exists():
            raise LeaseLost

    folder = directory / run
    folder.mkdir()
    clients = Clients(TARGET, before_change=check)
    return deploy(pair(folder, value), IDENTITY, clients, MemoryLedger(run), emit)


if __name__ == "__main__":
    deploy_pair(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
