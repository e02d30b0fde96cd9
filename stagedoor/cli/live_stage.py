"""A stage with bridges, ready for an agent: a developer's own, deployed from here, or one that the service deploys."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagedoor.assembly.bridged_functions import BridgedFunction
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import cache_dir
from stagedoor.cli.deploying import hotswaps_of, own_assembly, stage_assembly, synth_request
from stagedoor.cli.service import Service
from stagedoor.cli.service_address import address
from stagedoor.cli.stage import FoundStage, busy_stacks, find_stage
from stagedoor.cli.work import Work
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.functions import StageFunction, read_functions
from stagedoor.deploy.publishing.published import PublishedFiles
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.deploy.stage_values import check_secrets
from stagedoor.errors import UserError
from stagedoor.live.bridges import bridges_for
from stagedoor.synth.executor import LocalProcessExecutor
from stagedoor.synth.synthesis import synthesize
from stagedoor.target import Target

_LOOK_SECONDS = 1.0


class NothingLive(UserError):
    """No function of the stage can run here."""

    id = "nothing-live"


class DeployOfServiceFailed(UserError):
    """The service could not deploy the stage with bridges."""

    id = "deploy-with-bridges-failed"


@dataclass(frozen=True, slots=True)
class LiveStage:
    """A stage as the service knows it, its functions (as `service.relay.registry` has them), and the app's assembly."""

    key: int
    name: str
    functions: Sequence[Mapping[str, Any]]
    assembly: Assembly
    target: Target
    outputs: Mapping[str, Mapping[str, str]]


def deploy_own(work: Work, app: AppFolder, stage: str, service: Service, folder: Path, *, on: bool) -> LiveStage:
    """Deploy a developer's own stage with bridges in all functions that can be live, or, where it is not `on`, in none.

    `folder` holds the assembly for as long as its code is used.
    """
    with work.interruption.anywhere():
        found = find_stage(work, app, stage)
        key, server = _registered(app, found, service)
        own = own_assembly(work, app, found, folder)
        check_secrets(own, found.identity, found.clients, work.emit)
        bridges = bridges_for(server, str(key), ("*",) if on else ())
        told: list[BridgedFunction] = []
        assembly = stage_assembly(work, own, found.identity, found.target, folder, bridges, told.extend)
    work.busy_stacks = lambda: busy_stacks(read_all_stacks(found.clients), found.identity)
    deployed = deploy(
        assembly,
        found.identity,
        found.clients,
        work.ledger(),
        work.emit,
        found.known,
        PublishedFiles(cache_dir() / found.target.trust / "published"),
        alone=True,
        hotswaps=hotswaps_of(found.identity, found.clients),
    )
    functions: tuple[StageFunction, ...] = read_functions(told, assembly, deployed.stacks, found.clients)
    listed = [function.as_json() for function in functions]
    service.put(f"/stages/{key}/functions", {"functions": listed})
    return LiveStage(key, stage, listed, own, found.target, deployed.outputs)


def walk_in(
    work: Work, app: AppFolder, said: Mapping[str, Any], service: Service, folder: Path, *, on: bool
) -> LiveStage:
    """Have the service put bridges into a stage that it deploys, or, where it is not `on`, take them out of its
    functions, and wait until it has. What is to be live is looked for in the app as it is here.
    """
    key, name = int(said["id"]), str(said["name"])
    with work.interruption.anywhere():
        generation = int(service.post(f"/stages/{key}/live", {"functions": ["*"] if on else []})["generation"])
        with work.phase("bridges"):
            said = _awaited(service, address(app, name), generation)
        target = Target("service", str(said["account"]), str(said["region"]))
        assembly = _synthesized(work, app, name, target, folder) if on else Assembly(folder, ())
    functions = service.get(f"/stages/{key}/functions")["functions"]
    return LiveStage(key, name, functions, assembly, target, said["outputs"])


def _registered(app: AppFolder, found: FoundStage, service: Service) -> tuple[int, str]:
    """Tell the service of the stage; return its key, and where functions find the service."""
    target = found.target
    path = app.path.relative_to(app.repository.root).as_posix() if app.path != app.repository.root else "."
    place = {"account": target.account, "region": target.region, "partition": target.partition}
    said = service.put(
        "/stages", {**address(app, found.identity.stage), "path": path, "prefix": found.identity.prefix, **place}
    )
    return int(said["id"]), str(said["server"])


def _awaited(service: Service, stage: Mapping[str, str], generation: int) -> Mapping[str, Any]:
    while True:
        said = service.stage(**stage)
        if said["done_generation"] >= generation:
            break
        time.sleep(_LOOK_SECONDS)
    if error := said.get("error"):
        raise DeployOfServiceFailed(str(error["what"]), str(error["remedy"]), detail=str(error.get("detail", "")))
    return said


def _synthesized(work: Work, app: AppFolder, stage: str, target: Target, folder: Path) -> Assembly:
    """Run the app's program to learn where its functions' code is; the account is asked nothing."""
    request = synth_request(app, stage, target, folder)
    with work.phase("synth"):
        return read_assembly(synthesize(request, LocalProcessExecutor(), work.emit))
