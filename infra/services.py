"""The three roles as Fargate services."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.data import DATABASE_PORT, QUEUE_PORT, Data, log_group
from infra.exceptions import accept
from infra.wishes import Wishes

PORT = 8000
HEALTH = ["CMD", "python", "-m", "service.health"]
START_SECONDS = 300
"""How long a role may take until it answers: `web` brings the database up to date before, and the others wait for
that. It is the most that ECS lets a health check wait."""
BALANCER_SECONDS = 60
"""How long the load balancer then takes to believe it: five good answers, one every ten seconds."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a role's tasks have: 1024 units of CPU are one processor, memory and disk in MiB and GiB.

    `stop` is how many seconds a task may take to end after SIGTERM; ECS's most is 120.
    """

    cpu: int
    memory: int
    stop: int
    disk: int = 21


WEB, RELAY = Size(512, 1024, stop=30), Size(1024, 2048, stop=30)
WORKER = Size(2048, 8192, stop=60, disk=50)


@dataclass(frozen=True, slots=True)
class Common:
    """What all roles share."""

    cluster: ecs.Cluster
    data: Data
    wishes: Wishes
    environment: Mapping[str, str]
    secrets: Mapping[str, ecs.Secret]


class RoleService(Construct):
    """One role: its tasks, the role they have in AWS, their log."""

    def __init__(self, scope: Construct, construct_id: str, common: Common, command: list[str], size: Size) -> None:
        super().__init__(scope, construct_id)
        answers = command[0] != "worker"
        self.log = log_group(self, "Log")
        self.task = ecs.FargateTaskDefinition(
            self, "Task", cpu=size.cpu, memory_limit_mib=size.memory, ephemeral_storage_gib=size.disk
        )
        linux = ecs.LinuxParameters(self, "Linux")
        linux.drop_capabilities(ecs.Capability.ALL)
        container = self.task.add_container(
            "stagedoor",
            image=_image(self, common.wishes),
            command=command,
            environment={**common.environment},
            secrets={**common.secrets},
            readonly_root_filesystem=True,
            linux_parameters=linux,
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix="stagedoor", log_group=self.log, mode=ecs.AwsLogDriverMode.NON_BLOCKING
            ),
            health_check=ecs.HealthCheck(
                command=HEALTH,
                interval=Duration.seconds(10),
                timeout=Duration.seconds(5),
                retries=3,
                start_period=Duration.seconds(START_SECONDS),
            ),
            stop_timeout=Duration.seconds(size.stop),
            port_mappings=[ecs.PortMapping(container_port=PORT)] if answers else [],
        )
        for volume, path in (("data", "/data"), ("scratch", "/tmp")):  # noqa: S108 - the image's own volume
            self.task.add_volume(name=volume)
            container.add_mount_points(ecs.MountPoint(source_volume=volume, container_path=path, read_only=False))
        self.group = ec2.SecurityGroup(self, "Group", vpc=common.data.vpc, description=f"Stagedoor: {construct_id}")
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=common.cluster,
            task_definition=self.task,
            security_groups=[self.group],
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            min_healthy_percent=100,
            max_healthy_percent=200,
            # A desired count would be what CloudFormation brings the autoscaler's back to, with each deploy.
            health_check_grace_period=Duration.seconds(START_SECONDS + BALANCER_SECONDS) if answers else None,
        )
        self._reaches(common.data)
        self._excuse()

    def _reaches(self, data: Data) -> None:
        """Open the way to the database and the queue. The rules stand here, or the stacks would need each other."""
        for name, group, port in (
            ("Database", data.database.connections.security_groups[0], DATABASE_PORT),
            ("Queue", data.queue_group, QUEUE_PORT),
        ):
            ec2.CfnSecurityGroupIngress(
                self,
                f"To{name}",
                group_id=group.security_group_id,
                source_security_group_id=self.group.security_group_id,
                ip_protocol="tcp",
                from_port=port,
                to_port=port,
            )

    def may(self, *actions: str, on: list[str]) -> None:
        """Let its tasks do something in AWS."""
        if on:
            self.task.add_to_task_role_policy(iam.PolicyStatement(actions=[*actions], resources=on))

    def _excuse(self) -> None:
        accept(self.task, "ECS2", "What stands in the environment is no secret: addresses, names and settings.")
        reason = (
            "ECR's login has no resource (https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam.html)."
        )
        accept(self.task, "IAM5", reason, "Resource::*")


def _image(scope: Construct, wishes: Wishes) -> ecs.ContainerImage:
    repository = ecr.Repository.from_repository_name(scope, "Repository", wishes.image_repository)
    return ecs.ContainerImage.from_ecr_repository(repository, wishes.image_tag)
