"""Functions changed without CloudFormation on the local AWS, and made right again by it."""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients, Phase, change_freely
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import remove
from stagedoor.deploy.swapping.drift import ParameterDrifts
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.errors import LeaseLost
from stagedoor.events import Event, EventKind
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, code_asset, parameter, stack, template

ANSWER = "import os\ndef handler(event, context): return {'code': 'CODE', 'greeting': os.environ.get('GREETING')}"
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [TRUST]}},
}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shop:
    """A stage of one stack with functions, deployed again and again."""

    directory: Path
    target: Target
    clients: Clients
    events: list[Event] = field(default_factory=list)
    runs: int = 0
    before_change: Callable[[], None] = change_freely

    def ask(self) -> None:
        self.before_change()

    def wanted(
        self, *codes: str, other: str = "same", version: bool = False, machine: str = "", **properties: Any
    ) -> Assembly:
        """Return the app with a function for each code, and a parameter beside them."""
        self.runs += 1
        directory = self.directory / str(self.runs)
        directory.mkdir()
        assets = [code_asset(directory, self.target, {"index.py": ANSWER.replace("CODE", code)}) for code in codes]
        resources: dict[str, Any] = {"Role": ROLE, "Other": parameter(other)}
        for number, asset in enumerate(assets):
            resources[f"F{number}"] = {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": asset.bucket, "S3Key": asset.key},
                    "Handler": "index.handler",
                    "Runtime": "python3.12",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    **properties,
                },
                "Metadata": {
                    "aws:cdk:path": f"Api/F{number}/Resource",
                    "aws:asset:path": f"asset.{asset.claimed_hash}",
                },
            }
            if version:
                made, function = f"Version{asset.claimed_hash[:8]}", {"FunctionName": {"Ref": f"F{number}"}}
                resources[made] = {
                    "Type": "AWS::Lambda::Version",
                    "Properties": function,
                }
                resources["Alias"] = {
                    "Type": "AWS::Lambda::Alias",
                    "Properties": {
                        **function,
                        "FunctionVersion": {"Fn::GetAtt": [made, "Version"]},
                        "Name": "live",
                    },
                }
        if machine:
            definition = {"StartAt": machine, "States": {machine: {"Type": "Succeed"}}}
            resources["Machine"] = {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {"DefinitionString": json.dumps(definition), "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}},
            }
        body = template(**resources)
        paths = {f"F{number}": f"Api/F{number}" for number in range(len(codes))}
        return Assembly(directory, (stack(directory, "Api", body, assets=tuple(assets), construct_paths=paths),))

    def deploy(self, assembly: Assembly, *, hotswap: bool = True, **more: Any) -> Deployed:
        self.events = []
        clients = more.get("clients", self.clients)
        return deploy(
            assembly,
            IDENTITY,
            clients,
            MemoryLedger(str(self.runs)),
            more.get("emit", self.events.append),
            hotswaps=Hotswaps(ParameterDrifts(clients, IDENTITY), hotswap),
        )

    @property
    def way(self) -> str:
        """How the last deploy went: the stack's own last status."""
        return [event.status for event in self.events if event.kind is EventKind.STACK][-1]

    @property
    def functions(self) -> Any:
        return self.clients.client("lambda", Phase.DEPLOY)

    def name(self, number: int = 0) -> str:
        found = self.clients.cloudformation.describe_stack_resource(
            StackName=IDENTITY.stack_name("Api"), LogicalResourceId=f"F{number}"
        )
        return str(found["StackResourceDetail"].get("PhysicalResourceId"))

    def function(self) -> dict[str, Any]:
        return dict(self.functions.get_function_configuration(FunctionName=self.name()))

    def versions(self) -> list[str]:
        found = self.functions.list_versions_by_function(FunctionName=self.name())["Versions"]
        return [one["Version"] for one in found if one["Version"] != "$LATEST"]

    def records(self) -> list[str]:
        found = self.clients.client("ssm", Phase.DEPLOY).describe_parameters()["Parameters"]
        return [one["Name"] for one in found if "hotswapped" in one["Name"]]

    def answer(self, number: int = 0, qualifier: str = "$LATEST") -> dict[str, Any]:
        answer = self.functions.invoke(FunctionName=self.name(number), Qualifier=qualifier)
        return dict(json.loads(answer["Payload"].read()))

    def code(self, number: int = 0, qualifier: str = "$LATEST") -> str:
        return str(self.answer(number, qualifier)["code"])


@pytest.fixture
def shop(app: Path, target: Target, clients: Clients) -> Shop:
    shop = Shop(app, target, clients)
    shop.clients = Clients(target, before_change=shop.ask)
    return shop


def test_new_code_is_swapped_and_going_back_finds_the_old_one_again(shop: Shop):
    shop.deploy(shop.wanted("one"))
    assert (shop.way, shop.code()) == ("CREATE_COMPLETE", "one")
    shop.deploy(shop.wanted("two"))
    assert (shop.way, shop.code()) == ("HOTSWAP_COMPLETE", "two")
    assert shop.deploy(shop.wanted("two")).unchanged
    shop.deploy(shop.wanted("one"))
    assert (shop.way, shop.code()) == ("HOTSWAP_COMPLETE", "one")
    assert shop.deploy(shop.wanted("one")).unchanged
    assert shop.records() == []


def test_configuration_is_swapped_and_what_is_left_out_goes_back_to_its_default(shop: Shop):
    greeting = {"Variables": {"GREETING": "hello", "BUCKET": {"Ref": "Role"}}}
    shop.deploy(shop.wanted("one", Environment=greeting, Timeout=9))
    shop.deploy(shop.wanted("one", Environment={"Variables": {**greeting["Variables"], "GREETING": "ahoy"}}))
    assert (shop.way, shop.answer()) == ("HOTSWAP_COMPLETE", {"code": "one", "greeting": "ahoy"})
    function = shop.function()
    assert function["Timeout"] == 3
    assert function["Environment"]["Variables"]["BUCKET"].startswith(IDENTITY.prefix)


def test_what_cannot_be_swapped_goes_by_cloudformation_and_takes_the_swapped_functions_along(shop: Shop):
    shop.deploy(shop.wanted("one", "same"))
    shop.deploy(shop.wanted("two", "same"))
    shop.deploy(shop.wanted("one", "same", other="new"))
    assert (shop.way, shop.code()) == ("UPDATE_COMPLETE", "one")
    assert shop.records() == []
    assert shop.deploy(shop.wanted("one", "same", other="new")).unchanged


def test_a_full_deploy_back_to_the_old_template_brings_the_old_code(shop: Shop):
    shop.deploy(shop.wanted("one"))
    shop.deploy(shop.wanted("two"))
    deployed = shop.deploy(shop.wanted("one"), hotswap=False)
    assert (deployed.unchanged, shop.code(), shop.records()) == (False, "one", [])


def test_functions_are_swapped_at_once_and_only_those_that_change(shop: Shop):
    shop.deploy(shop.wanted("a", "b", "c"))
    shop.deploy(shop.wanted("a2", "b", "c2"))
    assert [shop.code(number) for number in range(3)] == ["a2", "b", "c2"]
    begun = [event.subject for event in shop.events if event.status == "HOTSWAP_IN_PROGRESS"]
    assert begun == [f"{IDENTITY.stack_name('Api')}/{name}" for name in ("F0", "F2")]


def test_an_alias_follows_the_version_and_cloudformation_can_publish_the_same_code_later(shop: Shop):
    shop.deploy(shop.wanted("one", version=True))
    shop.deploy(shop.wanted("two", version=True))
    assert (shop.way, shop.code(qualifier="live")) == ("HOTSWAP_COMPLETE", "two")
    # CloudFormation refuses to publish a version like the last one: what the hotswap published must be gone by then.
    shop.deploy(shop.wanted("two", version=True, other="new"))
    assert (shop.way, shop.code(qualifier="live")) == ("UPDATE_COMPLETE", "two")
    assert len(shop.versions()) == 1


def test_a_removed_stage_leaves_no_record(shop: Shop):
    shop.deploy(shop.wanted("one"))
    shop.deploy(shop.wanted("two"))
    assert len(shop.records()) == 1
    remove(IDENTITY, shop.clients, MemoryLedger("gone"), shop.events.append)
    ParameterDrifts(shop.clients, IDENTITY).forget_all()
    assert shop.records() == []


def test_a_stage_made_anew_has_nothing_of_the_old_ones_hotswaps(shop: Shop):
    shop.deploy(shop.wanted("one"))
    shop.deploy(shop.wanted("two"))
    remove(IDENTITY, shop.clients, MemoryLedger("gone"), shop.events.append)
    shop.deploy(shop.wanted("one"))
    assert shop.deploy(shop.wanted("one")).unchanged


def test_a_frozen_holder_is_refused_by_the_functions_revision(shop: Shop):
    shop.deploy(shop.wanted("one"))
    new = shop.wanted("new")
    asked: list[str] = []

    def freeze() -> None:
        """Be frozen between the question and the call, while the successor deploys."""
        asked.append("")
        if len(asked) == 3:  # after the asset and the record
            shop.deploy(new)
        elif len(asked) > 3:
            raise LeaseLost

    with pytest.raises(LeaseLost):
        shop.deploy(shop.wanted("old"), clients=Clients(shop.target, before_change=freeze))
    assert shop.code() == "new"
    assert shop.deploy(new).unchanged


def test_a_failed_hotswap_names_the_construct_and_the_next_deploy_goes_by_cloudformation(shop: Shop):
    shop.deploy(shop.wanted("one"))
    with pytest.raises(DeployFailed, match=r"Api/F0 \(AWS::Lambda::Function\).*could not be hotswapped"):
        # A layer that is not there: found when the code is swapped already.
        shop.deploy(shop.wanted("two", Layers=[f"arn:aws:lambda:us-east-1:{shop.target.account}:layer:none:1"]))
    shop.deploy(shop.wanted("two"))
    assert (shop.way, shop.code(), shop.records()) == ("UPDATE_COMPLETE", "two", [])


def test_who_may_not_swap_deploys_by_cloudformation_in_the_same_run(shop: Shop):
    shop.deploy(shop.wanted("one"))

    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, "UpdateFunctionCode")

    shop.functions.meta.events.register("before-call.lambda.UpdateFunctionCode", deny)
    shop.deploy(shop.wanted("two"))
    assert (shop.way, shop.code(), shop.records()) == ("UPDATE_COMPLETE", "two", [])
    warnings = [event.message for event in shop.events if event.kind is EventKind.WARNING]
    assert "goes by CloudFormation: Api/F0 (AWS::Lambda::Function): not you" in warnings[0]


def test_what_the_api_does_not_take_is_left_for_cloudformation_to_judge(shop: Shop):
    shop.deploy(shop.wanted("one"))
    shop.deploy(shop.wanted("one", Description={"Fn::If": ["No", "a", "a"]}, Timeout="4"))
    assert (shop.way, shop.function()["Timeout"]) == ("HOTSWAP_COMPLETE", 4)
    with suppress(DeployFailed):  # the local AWS takes some of it
        shop.deploy(shop.wanted("one", Layers="none", Timeout="4"))
    assert any("goes by CloudFormation" in event.message for event in shop.events)


def test_a_state_machine_gets_its_new_definition(shop: Shop):
    shop.deploy(shop.wanted("one", machine="First"))
    shop.deploy(shop.wanted("one", machine="Second"))
    assert shop.way == "HOTSWAP_COMPLETE"
    client = shop.clients.client("stepfunctions", Phase.DEPLOY)
    (machine,) = client.list_state_machines()["stateMachines"]
    definition = client.describe_state_machine(stateMachineArn=machine["stateMachineArn"])["definition"]
    assert json.loads(definition)["StartAt"] == "Second"


def test_killed_before_any_of_its_calls_it_ends_right_the_next_time(shop: Shop):
    """The new code and variable, or the old ones again, whichever is wanted next; by way of a version, too."""
    environment = [{"Variables": {"GREETING": greeting}} for greeting in ("hello", "ahoy")]
    codes = ["one", "two"]
    shop.deploy(shop.wanted(codes[0], version=True, Environment=environment[0]))
    for call in range(1, 20):
        asked = itertools.count(1)

        def die(asked: "itertools.count[int]" = asked, call: int = call) -> None:
            if next(asked) == call:
                raise Killed

        wanted = shop.wanted(codes[1], version=True, Environment=environment[1])
        try:
            shop.before_change = die
            shop.deploy(wanted)
        except Killed:
            after = call % 2  # what is wanted next: the old again, or the new
        else:
            break
        finally:
            shop.before_change = change_freely
        shop.deploy(shop.wanted(codes[after], version=True, Environment=environment[after]))
        expected = {"code": codes[after], "greeting": environment[after]["Variables"]["GREETING"]}
        assert (shop.answer(), shop.answer(qualifier="live")) == (expected, expected)
        if after:
            codes.reverse()
            environment.reverse()
    assert call >= 7
    shop.deploy(shop.wanted("last", version=True), hotswap=False)
    assert (shop.code(qualifier="live"), len(shop.versions()), shop.records()) == ("last", 1, [])
