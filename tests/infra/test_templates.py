"""What stands in the templates agrees with the service that they run."""

import re
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations
from aws_cdk import aws_s3 as s3
from cdk_nag import AwsSolutionsChecks

from infra.door import DRAIN_SECONDS, IDLE_SECONDS
from infra.secrets import NAMES, variable
from infra.services import RELAY, WEB, WORKER
from infra.wishes import InvalidWish, Variant, Wishes
from service import commands, pulse
from service.settings import Settings
from service.setup.stores import parameter_name
from service.worker import processes

pytestmark = pytest.mark.xdist_group("infra")  # the templates are synthesised once

TREE = Path(__file__).resolve().parents[2]
KNOWN = {f"STAGEDOOR_{name.upper()}" for name in Settings.model_fields}


def of_type(template, kind):
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == f"AWS::{kind}"}


def containers(templates):
    tasks = of_type(templates["standard"]["Service"], "ECS::TaskDefinition").values()
    made = {task["ContainerDefinitions"][0]["Command"][0]: task["ContainerDefinitions"][0] for task in tasks}
    assert set(made) == {"web", "relay", "worker"}
    return made


def test_a_broken_rule_fails_the_synth(tmp_path):
    """All variants pass, or the fixture would fail; this is the proof that somebody looks."""
    app = App(outdir=str(tmp_path))
    s3.Bucket(Stack(app, "Careless"), "Open")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(Exception, match="AwsSolutions-S10"):
        app.synth()


def test_each_role_runs_with_a_read_only_root_and_says_when_it_is_ill(templates):
    for container in containers(templates).values():
        assert container["ReadonlyRootFilesystem"] is True
        assert container["HealthCheck"]["Command"] == ["CMD", "python", "-m", "service.health"]
        assert {mount["ContainerPath"] for mount in container["MountPoints"]} == {"/data", "/tmp"}


def test_a_task_has_longer_to_stop_than_its_role_takes():
    assert WEB.stop > 5  # uvicorn's timeout_graceful_shutdown
    assert RELAY.stop > Settings().drain_seconds + 5
    assert WORKER.stop > processes.STOP_SECONDS + processes.FORCE_SECONDS
    assert max(WEB.stop, RELAY.stop, WORKER.stop) <= 120  # what ECS allows
    assert commands.STOP_SECONDS > processes.STOP_SECONDS + processes.FORCE_SECONDS
    assert Settings().drain_seconds < DRAIN_SECONDS


def test_what_a_container_is_told_is_known_to_the_service(templates):
    for container in containers(templates).values():
        told = {each["Name"] for each in container["Environment"]}
        secret = {each["Name"] for each in container["Secrets"]}
        assert told | secret <= KNOWN
        assert {"STAGEDOOR_DATABASE_URL", "STAGEDOOR_REDIS_URL", *map(variable, NAMES)} == secret


def test_setup_writes_the_secrets_where_the_tasks_read_them(templates):
    web = containers(templates)["web"]
    read = {each["Name"]: str(each["ValueFrom"]) for each in web["Secrets"]}
    for name in map(variable, NAMES):
        assert f"parameter{parameter_name('/stagedoor-service/prod', name)}'" in read[name]


def test_no_password_is_in_a_template(templates):
    urls = of_type(templates["standard"]["Data"], "SecretsManager::Secret")
    (database,) = [str(each["SecretString"]) for name, each in urls.items() if name.startswith("DatabaseUrl")]
    assert re.search(r"postgresql://stagedoor:\{\{resolve:secretsmanager:", database)


def test_the_door_keeps_idle_connections_shorter_than_what_is_behind_it(templates):
    assert commands.PING_SECONDS < IDLE_SECONDS < commands.KEEP_ALIVE_SECONDS
    service = templates["standard"]["Service"]
    (rule,) = of_type(service, "ElasticLoadBalancingV2::ListenerRule").values()
    assert rule["Conditions"] == [{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/live/*"]}}]


def test_what_is_counted_is_what_the_service_logs(templates):
    patterns = {
        each["FilterPattern"] for each in of_type(templates["standard"]["Service"], "Logs::MetricFilter").values()
    }
    assert patterns == {f'{{ $.event = "{event}" }}' for event in (pulse.BEHIND, pulse.CONNECTED)}


def test_workers_become_the_targets_roles_and_nobody_else_does(templates):
    policies = of_type(templates["standard"]["Service"], "IAM::Policy").values()
    assuming = [
        (statement["Resource"], policy["Roles"][0]["Ref"])
        for policy in policies
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Action"] == "sts:AssumeRole"
    ]
    ((resource, role),) = assuming
    assert resource == "arn:aws:iam::123456789012:role/stages-DeployRole"
    assert role.startswith("WorkerTaskTaskRole")


def test_cloudfront_finds_the_machine_by_the_name_of_its_address(templates):
    (front,) = of_type(templates["single"]["Single"], "CloudFront::Distribution").values()
    (origin,) = front["DistributionConfig"]["Origins"]
    parts = origin["DomainName"]["Fn::Join"][1]
    assert parts[0] == "ec2-"
    assert parts[1] == {"Fn::Join": ["-", {"Fn::Split": [".", {"Ref": "Address"}]}]}
    assert parts[2]["Fn::If"][:2] == ["FirstRegion", ".compute-1.amazonaws.com"]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(Variant.SINGLE), "image_tag"),
        (Wishes(Variant.STANDARD, image_tag="1"), "certificate"),
        (Wishes(Variant.TARGET), "principal"),
        (Wishes(Variant.TARGET, principal="arn:aws:iam::123456789012:role/r", external_id="short"), "external_id"),
        (Wishes(Variant.TARGET, principal="github"), "repositories"),
    ],
)
def test_what_is_missing_is_named(wishes, said):
    with pytest.raises(InvalidWish) as error:
        wishes.check()
    assert said in error.value.remedy


def test_what_the_docs_say_is_printed_is_an_output(templates):
    said = re.findall(r"stagedoor deploy --stage \w+ +# prints (.+)", (TREE / "docs/install.md").read_text())
    outputs = [
        set(templates[variant][stack]["Outputs"]) for variant, stack in (("single", "Single"), ("standard", "Service"))
    ]
    assert len(said) == 3  # the third is of a target: "five ARNs"
    for names, told in zip(said, outputs, strict=False):
        assert set(names.split(", ")) <= told
