"""The variant `standard`: a Fargate service for each role, behind a load balancer."""

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.data import Data
from infra.door import Door
from infra.exceptions import accept_wildcards
from infra.secrets import for_container
from infra.services import PORT, RELAY, WEB, WORKER, Common, RoleService
from infra.watch import BEHIND, CONNECTED, SUBSCRIBE, Watch, Watched, counted
from infra.wishes import Wishes
from stagedoor.constructs import App, Stack

MOST = {"Web": 6, "Relay": 10, "Worker": 10}
SESSIONS_OF_A_RELAY = 100
"""How many developers one relay should have before there is another; docs/sizing.md says what it can carry."""
BLOBS = "stagedoor"
BUCKET = "Data:ExportsOutputFnGetAttBlobsBucket1038ED5DArn95D86EF9"
"""What cdk-nag calls the bucket of the other stack."""
BLOB_ACTIONS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


class Standard(Stack):
    """Web, relay and workers, the door before them, and who watches over all of it."""

    def __init__(self, app: App, construct_id: str, wishes: Wishes, data: Data) -> None:
        super().__init__(app, construct_id, description="Stagedoor: web, relay, workers")
        cluster = ecs.Cluster(self, "Cluster", vpc=data.vpc, container_insights_v2=ecs.ContainerInsights.ENABLED)
        common = Common(cluster, data, wishes, environment(wishes, data), self._secrets(data))
        self.web = RoleService(self, "Web", common, ["web"], WEB)
        self.relay = RoleService(self, "Relay", common, ["relay"], RELAY)
        self.worker = RoleService(self, "Worker", common, ["worker", "--processes=2"], WORKER)
        self._permit(wishes, data)
        self.door = Door(self, "Door", wishes, data.vpc, self.web, self.relay)
        self._scale()
        watch = self._watch(data)
        self.output("Address", self.door.balancer.load_balancer_dns_name, description="What the domain is an alias of")
        self.output("WorkerRole", self.worker.task.task_role.role_arn, description="The principal of targets' roles")
        self.output("Alarms", watch.topic.nodes.topic.topic_arn, description=SUBSCRIBE)

    def _secrets(self, data: Data) -> dict[str, ecs.Secret]:
        urls = {"STAGEDOOR_DATABASE_URL": data.database_url, "STAGEDOOR_REDIS_URL": data.queue_url}
        return {
            **for_container(self),
            **{
                name: ecs.Secret.from_secrets_manager(
                    secretsmanager.Secret.from_secret_complete_arn(self, f"{name}Secret", secret.ref)
                )
                for name, secret in urls.items()
            },
        }

    def _permit(self, wishes: Wishes, data: Data) -> None:
        """Let web and workers read and write blobs, relays see whose they are, workers become the targets' roles."""
        bucket = data.blobs.nodes.bucket
        for role in (self.web, self.worker):
            role.may(*BLOB_ACTIONS, on=[f"{bucket.bucket_arn}/{BLOBS}/*"])
            accept_wildcards(role.task.task_role, [f"{BUCKET}/{BLOBS}/*"], "An object has no ARN before it is there.")
        self.relay.may("s3:GetObject", on=[f"{bucket.bucket_arn}/{BLOBS}/service/id"])
        for role in (self.web, self.worker, self.relay):
            role.may("s3:ListBucket", on=[bucket.bucket_arn])
        self.worker.may("sts:AssumeRole", on=wishes.target_roles)

    def _scale(self) -> None:
        web = self._scaled(self.web, "Web", least=2)
        web.scale_on_cpu_utilization("Cpu", target_utilization_percent=60)
        relay = self._scaled(self.relay, "Relay", least=2)
        # Slowly down: each relay that ends sends its developers and invocations on to another one.
        relay.scale_to_track_custom_metric(
            "Sessions",
            metric=counted(self.relay.log, "RelaySessions", CONNECTED, "sessions", "Average"),
            target_value=SESSIONS_OF_A_RELAY,
            scale_in_cooldown=Duration.minutes(15),
            scale_out_cooldown=Duration.minutes(1),
        )
        self.behind = counted(self.worker.log, "Behind", BEHIND, "behind", "Maximum")
        worker = self._scaled(self.worker, "Worker", least=1)
        worker.scale_on_metric(
            "Behind",
            metric=self.behind,
            scaling_steps=[
                scaling.ScalingInterval(upper=0, change=-1),
                scaling.ScalingInterval(lower=3, change=+1),
                scaling.ScalingInterval(lower=10, change=+3),
            ],
            adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=Duration.minutes(3),
            evaluation_periods=2,
        )

    def _scaled(self, role: RoleService, name: str, least: int) -> ecs.ScalableTaskCount:
        return role.service.auto_scale_task_count(min_capacity=least, max_capacity=MOST[name])

    def _watch(self, data: Data) -> Watch:
        five = Duration.minutes(5)
        server_errors = self.door.balancer.metrics.http_code_target(elb.HttpCodeTarget.TARGET_5XX_COUNT, period=five)
        slow = self.door.web.metrics.target_response_time(statistic="p99", period=five)
        under_way = counted(self.relay.log, "UnderWay", CONNECTED, "under_way", "Sum")
        cpu, space = (
            data.database.metric_cpu_utilization(period=five),
            data.database.metric_free_storage_space(period=five),
        )
        watched = [
            Watched("Behind", self.behind, 0, 15, "Stages are not as they are wanted, for 15 minutes.", silence=True),
            Watched("ServerErrors", server_errors, 5, 2, "The front door fails."),
            Watched("SlowWebhooks", slow, 5, 3, "GitHub gives up on a webhook after 10 s."),
            Watched("LiveInvocations", under_way, 5000, 5, "Many live invocations are under way."),
            Watched("DatabaseCpu", cpu, 80, 3, "The database is busy."),
            Watched("DatabaseSpace", space, 2e9, 1, "The database has less than 2 GB left.", below=True),
        ]
        for name, group in (("Web", self.door.web), ("Relay", self.door.relay)):
            ill = group.metrics.unhealthy_host_count(period=Duration.minutes(1))
            watched.append(Watched(f"{name}Unhealthy", ill, 0, 5, f"A {name} task does not get ready."))
        return Watch(self, "Watch", watched)


def environment(wishes: Wishes, data: Data) -> dict[str, str]:
    """Return the settings that are no secrets."""
    return {
        "STAGEDOOR_PUBLIC_URL": f"https://{wishes.domain}",
        "STAGEDOOR_BLOB_URL": f"s3://{data.blobs.nodes.bucket.bucket_name}/{BLOBS}",
        "STAGEDOOR_INTERNAL_URL": f"http://{{address}}:{PORT}",
        "STAGEDOOR_TARGETS": wishes.targets,
        **wishes.github,
    }
