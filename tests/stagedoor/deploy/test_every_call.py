"""A deploy or a removal that dies at any of its calls, and is started again, ends where one that does not die ends."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from demo.aws.server import LocalAws
from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import remove
from stagedoor.events import silent
from stagedoor.target import Target
from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.assemblies import IDENTITY, pair, parameter, stack, template
from tests.stagedoor.deploy.worker import TARGET

_READS = ("Get", "List", "Describe", "Head")
_runs = itertools.count(1)


class Died(BaseException):
    """The process is no more."""


class Mortal:
    """Clients whose process dies at one call, before it is sent or after it took effect. `calls` are those so far: with
    `reads`, questions too, but not after them, since a question has no effect.
    """

    def __init__(self, target: Target, *, reads: bool) -> None:
        self.clients = Clients(target)
        self.calls: list[str] = []
        self._reads = reads
        self._at = 0
        self._after = False
        for service in (self.clients.cloudformation, self.clients.client("s3", Phase.DEPLOY)):
            service.meta.events.register("before-send", self._before)
            service.meta.events.register("after-call", self._afterwards)

    def live(self, at: int = 0, *, after: bool = False) -> None:
        """Begin anew; die at the call with this number."""
        self.calls.clear()
        self._at, self._after = at, after

    def _before(self, event_name: str, **_: Any) -> None:
        operation = event_name.rsplit(".", 1)[-1]
        if not operation.startswith(_READS) or (self._reads and not self._after):
            self.calls.append(operation)
            self._die(after=False)

    def _afterwards(self, event_name: str, **_: Any) -> None:
        if not event_name.rsplit(".", 1)[-1].startswith(_READS):
            self._die(after=True)

    def _die(self, *, after: bool) -> None:
        if self._at and len(self.calls) >= self._at and after is self._after:
            raise Died


def bring(mortal: Mortal, assembly: Assembly, *, alone: bool) -> None:
    deploy(assembly, IDENTITY, mortal.clients, MemoryLedger(str(next(_runs))), silent, alone=alone)


def take_away(mortal: Mortal) -> None:
    remove(IDENTITY, mortal.clients, MemoryLedger(str(next(_runs))), silent)


def deaths(mortal: Mortal, begin: Callable[[], None], act: Callable[[], None]) -> Iterator[str]:
    """Let `act` die at each of its calls in turn, from the state that `begin` makes, and start it again each time."""
    for after in (False, True):
        for at in itertools.count(1):
            mortal.live()
            begin()
            mortal.live(at, after=after)
            try:
                act()
            except Died:
                where = f"{'after' if after else 'before'} {' '.join(mortal.calls[-1:])} (call {at})"
            else:
                break
            mortal.live()
            act()
            yield where


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.0)) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        yield endpoint


@pytest.mark.parametrize("alone", [True, False], ids=["directly", "by change set"])
def test_a_first_deploy_on_the_scripted_cloudformation(scripted: ScriptedCloudFormation, tmp_path: Path, alone: bool):
    mortal, app = Mortal(TARGET, reads=True), pair(tmp_path, "x")

    def begin() -> None:
        scripted.account = ScriptedAccount(seconds=0.0)

    for died in deaths(mortal, begin, lambda: bring(mortal, app, alone=alone)):
        states = {one.name: one.status for one in scripted.account.stacks.values()}
        assert set(states.values()) == {"CREATE_COMPLETE"}, died
        assert len(states) == 2, died


def test_an_update_on_the_scripted_cloudformation(scripted: ScriptedCloudFormation, tmp_path: Path):
    (tmp_path / "new").mkdir()
    mortal, old, new = Mortal(TARGET, reads=True), pair(tmp_path, "x"), pair(tmp_path / "new", "y")

    def begin() -> None:
        scripted.account = ScriptedAccount(seconds=0.0)
        for one in old.stacks:
            scripted.account.put(one.name, "CREATE_COMPLETE", IDENTITY.tags(), template(Value=parameter("x")))

    for died in deaths(mortal, begin, lambda: bring(mortal, new, alone=False)):
        for one in scripted.account.stacks.values():
            assert (one.status, '"y"' in one.template) == ("UPDATE_COMPLETE", True), died


def test_a_removal_on_the_scripted_cloudformation(scripted: ScriptedCloudFormation, tmp_path: Path):
    mortal = Mortal(TARGET, reads=True)

    def begin() -> None:
        scripted.account = ScriptedAccount(seconds=0.0)
        for one in pair(tmp_path, "x").stacks:
            scripted.account.put(one.name, "CREATE_COMPLETE", IDENTITY.tags(), template(Value=parameter("x")))

    for died in deaths(mortal, begin, lambda: take_away(mortal)):
        assert {one.status for one in scripted.account.stacks.values()} == {"DELETE_COMPLETE"}, died


def bucket_app(directory: Path, value: str) -> Assembly:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}
    body = template({"Bucket": {"Ref": "Bucket"}}, Value=parameter(value), Bucket=bucket)
    return Assembly(directory, (stack(directory, "One", body),))


@pytest.mark.parametrize("alone", [True, False], ids=["directly", "by change set"])
def test_a_whole_life_on_the_local_aws(deploy_aws: LocalAws, target: Target, clients: Clients, app: Path, alone: bool):
    (app / "new").mkdir()
    mortal, old, new = Mortal(target, reads=False), bucket_app(app, "old"), bucket_app(app / "new", "new")
    cloudformation, s3 = boto3.Session().client("cloudformation"), boto3.Session().client("s3")
    name = IDENTITY.stack_name("One")

    def outputs() -> dict[str, str]:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return {one["OutputKey"]: one["OutputValue"] for one in found["Outputs"]}

    def nothing() -> None:
        take_away(mortal)

    def the_old() -> None:
        bring(mortal, old, alone=alone)
        s3.put_object(Bucket=outputs()["Bucket"], Key="note", Body=b"left")

    for died in deaths(mortal, nothing, lambda: bring(mortal, old, alone=alone)):
        assert "Bucket" in outputs(), died
    for died in deaths(mortal, the_old, lambda: bring(mortal, new, alone=alone)):
        assert '"new"' in str(cloudformation.get_template(StackName=name)["TemplateBody"]).replace("'", '"'), died
    for died in deaths(mortal, the_old, lambda: take_away(mortal)):
        left = [one["Name"] for one in s3.list_buckets()["Buckets"] if not one["Name"].startswith("cdk-")]
        assert left == [], died
