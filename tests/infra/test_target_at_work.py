"""A target's roles at work, where each call is asked its policies: a stage is born, swapped and gone by them alone."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from demo.aws.server import LocalAws
from infra.target import GITHUB_ISSUER
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.constructs import App, Bucket, Function, Script, Stack, Table
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import plan_deploy
from stagedoor.deploy.remove import remove
from stagedoor.deploy.swapping.drift import ParameterDrifts
from stagedoor.deploy.swapping.swap import Hotswaps
from stagedoor.deploy.trial import with_change_sets
from stagedoor.events import Event, EventKind, silent
from stagedoor.naming import StageIdentity
from stagedoor.target import Target
from tests.infra.conftest import ACCOUNT, EXTERNAL_ID, WORKER_ROLE
from tests.infra.test_templates import of_type
from tests.stagedoor.constructs.live_stage import by_http

pytestmark = pytest.mark.xdist_group("infra")  # the templates are synthesised once

REGION = "us-east-1"
IDENTITY = StageIdentity(app="shop", stage="pr-1", prefix="shop-pr-1-abc123", repository="42", service="here")
Call = Callable[[Clients], Any]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws"), authorize=True) as aws:
        yield aws


@pytest.fixture(scope="module")
def root(aws: LocalAws) -> Callable[[str], Any]:
    """Return a client as the account's own root, whom no policy limits."""
    session: Any = boto3.Session(ACCOUNT, "local", region_name=REGION)
    return lambda service: session.client(service, endpoint_url=aws.endpoint)


@pytest.fixture(scope="module")
def outputs(aws: LocalAws, root: Callable[[str], Any], templates) -> dict[str, str]:
    """The target's stack, deployed, beside a role as the service's workers have it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.environment(ACCOUNT, REGION).items():
            patch.setenv(name, value)
        target = Target("account", ACCOUNT, REGION)
        bucket = bootstrap(Clients(target), target, silent).bucket
    root("s3").delete_bucket_policy(Bucket=bucket)  # it denies what is not asked by TLS
    told = made(root("cloudformation"), "stages", seen(templates["target"]["Target"]))
    roles = [told[name] for name in ("DeployRoleArn", "PublishRoleArn", "LookupRoleArn")]
    make_role(root("iam"), WORKER_ROLE, f"arn:aws:iam::{ACCOUNT}:root", {"Action": "sts:AssumeRole", "Resource": roles})
    return told


@pytest.fixture
def target(outputs: dict[str, str]) -> Target:
    return Target(
        "previews",
        ACCOUNT,
        REGION,
        deploy_role=outputs["DeployRoleArn"],
        publish_role=outputs["PublishRoleArn"],
        lookup_role=outputs["LookupRoleArn"],
        execution_role=outputs["ExecutionRoleArn"],
        external_id=EXTERNAL_ID,
        permissions_boundary=outputs["PermissionsBoundary"],
    )


@pytest.fixture
def clients(target: Target, aws: LocalAws, root: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Clients:
    """What the engine calls AWS with in a process that has the worker's identity, and so no right but to assume."""
    for name, value in aws.environment(ACCOUNT, REGION).items():
        monkeypatch.setenv(name, value)
    given = root("sts").assume_role(RoleArn=WORKER_ROLE, RoleSessionName="worker")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
    return Clients(target)


def made(cloudformation: Any, name: str, template: Any) -> dict[str, str]:
    """Create a stack and return its outputs."""
    body = json.dumps(template, separators=(",", ":"))
    cloudformation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def make_role(iam: Any, arn: str, who: str, may: dict[str, Any]) -> None:
    name = arn.rpartition("/")[2]
    trust = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy({"Effect": "Allow", **may}))


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def seen(template):
    """Name by `*` what the local AWS cannot name in a call: parameters that are named by a list or by their path."""
    text = json.dumps(template)
    found = [each for each in joins(template) if str(each["Fn::Join"][1][-1]).endswith(":parameter/stagedoor/*")]
    assert found
    for each in found:
        text = text.replace(json.dumps(each), '"*"')
    return json.loads(text)


def joins(value) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "Fn::Join" in value:
            yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from joins(each)


def app_of(
    code: str, target: Target, folder: Path, context: Any = None, also: Callable[[Stack], Any] = lambda _: None
) -> Assembly:
    """Return an app as a stage gets it: a function that may use a bucket and a table, and what else is made."""
    place = folder / code
    source = folder / "source"
    source.mkdir(exist_ok=True)
    (source / "handler.py").write_text(f"def handle(event, context):\n    return {code!r}\n")
    app = App("shop", outdir=str(place / "cdk.out"), context=context)
    main = Stack(app, "Main")
    used = [Bucket(main, "Files"), Table(main, "Notes", partition_key="id")]
    Function(main, "Answer", "source/handler.handle", bind=used)
    also(main)
    assembly = read_assembly(by_http(Path(app.synth().directory)))
    return rewrite_assembly(assembly, IDENTITY, target, place / "stage").assembly


@pytest.fixture
def app_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cdk.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STAGEDOOR_STAGE", IDENTITY.stage)
    monkeypatch.setenv("STAGEDOOR_PARAMETERS", "/stagedoor/shop-abc123")
    return tmp_path


def test_a_stage_is_born_swapped_and_gone(clients, target, app_folder, root):
    def bring(code: str) -> list[Event]:
        events: list[Event] = []
        hotswaps = Hotswaps(ParameterDrifts(clients, IDENTITY), allowed=True)
        deploy(
            app_of(code, target, app_folder), IDENTITY, clients, MemoryLedger(code), events.append, hotswaps=hotswaps
        )
        return events

    def function() -> str:
        (name,) = [each["FunctionName"] for each in root("lambda").list_functions()["Functions"]]
        return str(name)

    def answer() -> Any:
        return json.loads(root("lambda").invoke(FunctionName=function())["Payload"].read())

    def buckets() -> list[str]:
        return [each["Name"] for each in root("s3").list_buckets()["Buckets"] if each["Name"].startswith("shop-")]

    bring("one")
    assert answer() == "one"
    looked = with_change_sets(plan_deploy(app_of("look", target, app_folder), IDENTITY, clients, ()), clients, "1")
    assert [change.type for change in looked.stacks[0].difference.resources] == ["AWS::Lambda::Function"]
    changed = [each for each in bring("two") if each.kind is EventKind.RESOURCE]
    assert {each.status for each in changed} == {"HOTSWAP_IN_PROGRESS", "HOTSWAP_COMPLETE"}
    assert answer() == "two"

    root("s3").put_object(Bucket=buckets()[0], Key="note", Body=b"of a user's")
    root("logs").create_log_group(logGroupName=f"/aws/lambda/{function()}")
    remove(IDENTITY, clients, MemoryLedger("gone"), silent)
    ParameterDrifts(clients, IDENTITY).forget_all()
    assert buckets() == []
    assert root("lambda").list_functions()["Functions"] == []
    assert root("logs").describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"] == []


def test_a_log_group_that_is_not_the_roles_to_delete_is_left_behind(clients, target, app_folder):
    """As a database's, for which an app has `log_retention`: the role may delete those of functions and of builds."""

    def retention(stack: Stack) -> Script:
        as_cdk_calls_it = {"resource": {"resource_type": "Custom::LogRetention"}}
        return Script(stack, "Retention", on_create="source/handler.handle", cdk=as_cdk_calls_it)

    assembly = app_of("one", target, app_folder, also=retention)
    deploy(assembly, IDENTITY, clients, MemoryLedger("1"), silent)
    removed = remove(IDENTITY, clients, MemoryLedger("2"), silent)
    assert removed.deleted == (IDENTITY.stack_name("Main"),)
    (kept,) = removed.kept
    assert kept.type == "AWS::Logs::LogGroup"
    assert "not authorized to perform: logs:DeleteLogGroup" in kept.reason


def assets(target: Target) -> str:
    return f"cdk-{target.qualifier}-assets-{ACCOUNT}-{REGION}"


REFUSED: dict[str, Call] = {
    "assets of production": lambda clients: clients.client("s3", Phase.PUBLISH).put_object(
        Bucket=assets(clients.target), Key="production/asset.zip", Body=b""
    ),
    "an asset is deleted": lambda clients: clients.client("s3", Phase.PUBLISH).delete_object(
        Bucket=assets(clients.target), Key="preview/asset.zip"
    ),
    "the deployer writes assets": lambda clients: clients.client("s3", Phase.DEPLOY).put_object(
        Bucket=assets(clients.target), Key="preview/asset.zip", Body=b""
    ),
    "the bootstrap's bucket": lambda clients: clients.client("s3", Phase.DEPLOY).delete_bucket(
        Bucket=assets(clients.target)
    ),
    "the account's logs": lambda clients: clients.client("logs", Phase.DEPLOY).delete_log_group(
        logGroupName="/aws/cloudtrail/all"
    ),
    "a function is called": lambda clients: clients.client("lambda", Phase.DEPLOY).invoke(FunctionName="any"),
    "another's parameter": lambda clients: clients.client("ssm", Phase.DEPLOY).put_parameter(
        Name="/stagedoor-service/prod/TokenKey", Value="mine", Type="String", Overwrite=True
    ),
    "a secret is looked up": lambda clients: clients.client("ssm", Phase.LOOKUP).get_parameter(
        Name="/stagedoor-service/prod/TokenKey"
    ),
    "a lookup changes something": lambda clients: clients.lookup("ec2").create_vpc(CidrBlock="10.0.0.0/16"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_each_role_does_its_own_work_alone(clients, what):
    with pytest.raises(ClientError) as error:
        REFUSED[what](clients)
    assert error.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


@pytest.mark.parametrize("external_id", [None, "another-external-id"])
def test_without_the_external_id_nobody_becomes_them(clients, target, external_id):
    with pytest.raises(ClientError, match="AssumeRole"):
        Clients(replace(target, external_id=external_id)).cloudformation.describe_stacks()


@pytest.fixture
def bounded(root: Callable[[str], Any], aws: LocalAws, outputs: dict[str, str]) -> Callable[[str], Any]:
    """Return a client as a role that a template made: it has the boundary, and its policy allows all."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/of-a-stage"
    iam = root("iam")
    make_role(iam, arn, f"arn:aws:iam::{ACCOUNT}:root", {"Action": "*", "Resource": "*"})
    iam.put_role_permissions_boundary(RoleName="of-a-stage", PermissionsBoundary=outputs["PermissionsBoundary"])
    given = root("sts").assume_role(RoleArn=arn, RoleSessionName="function")["Credentials"]
    session: Any = boto3.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
    )
    return lambda service: session.client(service, endpoint_url=aws.endpoint)


def test_what_a_template_makes_becomes_nobody_else(bounded, target):
    bounded("s3").create_bucket(Bucket="of-a-stage")
    for call in (
        lambda: bounded("iam").create_user(UserName="somebody"),
        lambda: bounded("sts").assume_role(RoleArn=target.deploy_role, RoleSessionName="function"),
        lambda: bounded("cloudformation").update_stack(StackName="stages", TemplateBody="{}"),
        lambda: bounded("cloudformation").create_change_set(
            StackName="stages", ChangeSetName="mine", TemplateBody="{}"
        ),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


def test_a_workflow_deploys_and_removes_by_its_one_role(aws, root, outputs, templates, app_folder, monkeypatch):
    """The app itself puts the boundary on its roles, as docs/permissions.md says: the command line knows of none."""
    url = f"https://{GITHUB_ISSUER}"
    root("iam").create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"], ThumbprintList=["a" * 40])
    told = made(root("cloudformation"), "workflows", templates["workflows"]["Target"])
    claims = {"iss": url, "aud": "sts.amazonaws.com", "sub": "repo:acme/notes:environment:production"}
    given = root("sts").assume_role_with_web_identity(
        RoleArn=told["WorkflowRoleArn"], RoleSessionName="workflow", WebIdentityToken=token(claims)
    )["Credentials"]
    for name, value in (
        *aws.environment(ACCOUNT, REGION).items(),
        ("AWS_ACCESS_KEY_ID", given["AccessKeyId"]),
        ("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"]),
        ("AWS_SESSION_TOKEN", given["SessionToken"]),
    ):
        monkeypatch.setenv(name, value)
    alone = Target("caller", ACCOUNT, REGION)
    clients = Clients(alone)
    boundary_name = told["PermissionsBoundary"].rpartition("/")[2]
    context = {"@aws-cdk/core:permissionsBoundary": {"name": boundary_name}}
    deploy(app_of("one", alone, app_folder, context), IDENTITY, clients, MemoryLedger("1"), silent)
    template = root("cloudformation").get_template(StackName=IDENTITY.stack_name("Main"))["TemplateBody"]
    (role,) = of_type(template, "IAM::Role").values()
    assert boundary_name in str(role["PermissionsBoundary"])
    remove(IDENTITY, clients, MemoryLedger("2"), silent)

    workflow = boto3.Session(region_name=REGION)
    with pytest.raises(ClientError, match="AccessDenied"):
        workflow.client("sts").assume_role(RoleArn=WORKER_ROLE, RoleSessionName="workflow")
    with pytest.raises(ClientError, match="AccessDenied"):
        workflow.client("s3").delete_bucket(Bucket=assets(alone))


def token(claims: dict[str, Any]) -> str:
    """Return a token that says this; the local AWS asks nobody for keys."""
    parts = [json.dumps(each).encode() for each in ({"alg": "RS256"}, {**claims, "exp": int(time.time()) + 600})]
    return ".".join([*(urlsafe_b64encode(each).decode().rstrip("=") for each in parts), "signed"])
