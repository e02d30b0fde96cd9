"""What AWS refuses of a template, or lets pass and does not do, as far as its documentation and its schemas tell."""

import json
import re

import pytest
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs
from cfnlint.helpers import REGIONS

from infra.services import START_SECONDS
from infra.single import KERNEL
from tests.infra.conftest import WISHES
from tests.infra.test_templates import containers, of_type

pytestmark = pytest.mark.xdist_group("infra")  # the templates are synthesised once

ACCEPTED = {
    "W3005": "CDK writes down each dependency, also one that a reference makes.",
    "E3006 us-gov-east-1": "There is no CloudFront, and so no `single`: infra/ is for AWS's commercial regions.",
    "E3006 us-gov-west-1": "The same.",
    "E3025 ca-west-1": "It has no `db.t4g`, as docs/install.md says.",
}
"""What cfn-lint says and is not heard: of a rule everywhere, or in one region."""


def judged(template, folder):
    """Return what cfn-lint says of a template, in all regions: the rule and, where it is of one, the region."""
    file = folder / "template.json"
    file.write_text(json.dumps(template))
    found = lint_file(file, config=ManualArgs(regions=list(REGIONS)))
    return {" ".join([one.rule.id, *re.findall(r" in '([\w-]+)'\Z", one.message)]): one.message for one in found}


@pytest.mark.parametrize("variant", WISHES)
def test_aws_schemas_refuse_nothing(templates, variant, tmp_path):
    for template in templates[variant].values():
        found = judged(template, tmp_path)
        assert {key: found[key] for key in found if key not in ACCEPTED} == {}


@pytest.mark.parametrize(
    ("kind", "wrong", "rule"),
    [
        ("RDS::DBInstance", {"EngineVersion": "18.99"}, "E3691"),
        ("ECS::TaskDefinition", {"Memory": "100"}, "E3047"),
        ("ElasticLoadBalancingV2::TargetGroup", {"HealthCheckIntervalSeconds": 3}, "E3034"),
        ("EC2::SecurityGroup", {"GroupDescription": "für alle"}, "E3031"),
    ],
)
def test_what_aws_refuses_is_seen(templates, kind, wrong, rule, tmp_path):
    stacks = json.loads(json.dumps(templates["standard"]))
    template = next(each for each in stacks.values() if of_type(each, kind))
    next(iter(of_type(template, kind).values())).update(wrong)
    assert rule in judged(template, tmp_path)


def test_alarms_may_say_so_to_their_topic(templates):
    """CloudWatch publishes on behalf of the account (https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger)."""
    for template in (templates["standard"]["Service"], templates["single"]["Single"]):
        (policy,) = of_type(template, "SNS::TopicPolicy").values()
        (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
        assert allowed["Condition"] == {"StringEquals": {"AWS:SourceOwner": {"Ref": "AWS::AccountId"}}}
        assert template["Outputs"]["Alarms"]["Value"] == allowed["Resource"]


def test_the_machine_has_the_kernel_that_parts_repository_code(templates):
    template = templates["single"]["Single"]
    (instance,) = of_type(template, "EC2::Instance").values()
    image = template["Parameters"][instance["ImageId"]["Ref"]]["Default"]
    assert image == f"/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-{KERNEL}-x86_64"


def test_a_deploy_leaves_as_many_tasks_as_the_autoscaler_wanted(templates):
    """CloudFormation sets a count that the template names whenever the service changes."""
    services = of_type(templates["standard"]["Service"], "ECS::Service").values()
    assert len(services) == 3
    assert all("DesiredCount" not in each for each in services)


def test_a_task_is_not_ended_while_it_brings_the_database_up_to_date(templates):
    """Web migrates before it answers, and relays wait for it. Thereafter the load balancer wants five good answers
    (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html, healthCheckGracePeriodSeconds).
    """
    service = templates["standard"]["Service"]
    for container in containers(templates).values():
        assert container["HealthCheck"]["StartPeriod"] == START_SECONDS
    (interval,) = {
        each["HealthCheckIntervalSeconds"] for each in of_type(service, "ElasticLoadBalancingV2::TargetGroup").values()
    }
    behind = [each for each in of_type(service, "ECS::Service").values() if "LoadBalancers" in each]
    assert len(behind) == 2
    assert all(each["HealthCheckGracePeriodSeconds"] >= START_SECONDS + 5 * interval for each in behind)


def test_a_container_has_no_capability(templates):
    for container in containers(templates).values():
        assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}


def test_two_stages_of_the_service_do_not_count_for_each_other(templates):
    for template in (templates["standard"]["Service"], templates["single"]["Single"]):
        counted = [each["MetricTransformations"] for each in of_type(template, "Logs::MetricFilter").values()]
        assert {each["MetricNamespace"] for made in counted for each in made} == {"Stagedoor/prod"}


def test_minor_versions_of_the_database_are_left_to_aws(templates):
    """AWS ends minor versions after a year or so and upgrades by itself; it takes a major version alone
    (https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-versions.html)."""
    (database,) = of_type(templates["standard"]["Data"], "RDS::DBInstance").values()
    assert re.fullmatch(r"\d+", database["EngineVersion"])
