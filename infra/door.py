"""The load balancer: TLS, and who answers which path."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.exceptions import accept
from infra.services import PORT, RoleService
from infra.wishes import Wishes
from stagedoor.constructs import Bucket

IDLE_SECONDS = 60
"""Everything long-lived says something more often: an agent's WebSocket every 5 s, a held invocation and an event
stream every 15. It must be less than the front door's own KEEP_ALIVE_SECONDS (75), or a webhook meets a connection that
was just closed."""
DRAIN_SECONDS = 15


class Door(Construct):
    """An HTTPS load balancer: /live to the relay, everything else to the web role."""

    def __init__(
        self, scope: Construct, construct_id: str, wishes: Wishes, vpc: ec2.Vpc, web: RoleService, relay: RoleService
    ) -> None:
        super().__init__(scope, construct_id)
        group = ec2.SecurityGroup(self, "Group", vpc=vpc, description="Stagedoor: front door", allow_all_outbound=False)
        for port in (80, 443):
            group.add_ingress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(port))
        accept(group, "EC23", "GitHub, workflows, Lambda functions and developers come from anywhere.")
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=vpc,
            internet_facing=True,
            security_group=group,
            idle_timeout=Duration.seconds(IDLE_SECONDS),
            drop_invalid_header_fields=True,
            deletion_protection=False,
        )
        self._keep_access_log()
        self.balancer.add_listener("Http", port=80, open=False, default_action=elb.ListenerAction.redirect(
            protocol="HTTPS", port="443", permanent=True))  # fmt: skip
        listener = self.balancer.add_listener(
            "Https",
            port=443,
            open=False,
            ssl_policy=elb.SslPolicy.TLS13_RES,
            certificates=[elb.ListenerCertificate.from_arn(wishes.certificate)],
        )
        self.web = self._targets(listener, "Web", web)
        self.relay = self._targets(
            listener, "Relay", relay, priority=10, conditions=[elb.ListenerCondition.path_patterns(["/live/*"])]
        )
        relay.group.add_ingress_rule(relay.group, ec2.Port.tcp(PORT), "relays hand invocations on to each other")

    def _targets(
        self,
        listener: elb.ApplicationListener,
        name: str,
        role: RoleService,
        priority: int | None = None,
        conditions: list[elb.ListenerCondition] | None = None,
    ) -> elb.ApplicationTargetGroup:
        return listener.add_targets(
            name,
            targets=[role.service],
            port=PORT,
            protocol=elb.ApplicationProtocol.HTTP,
            deregistration_delay=Duration.seconds(DRAIN_SECONDS),
            health_check=elb.HealthCheck(
                path="/readyz", interval=Duration.seconds(10), timeout=Duration.seconds(5), unhealthy_threshold_count=3
            ),
            priority=priority,
            conditions=conditions,
        )

    def _keep_access_log(self) -> None:
        """Keep the access log for 30 days. aws-cdk-lib's own way needs to know the region when it synthesises."""
        bucket = Bucket(self, "AccessLog", expire=30).nodes.bucket
        accept(bucket, "S1", "It holds access logs itself.")
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("logdelivery.elasticloadbalancing.amazonaws.com")],
                actions=["s3:PutObject"],
                resources=[bucket.arn_for_objects(f"AWSLogs/{Stack.of(self).account}/*")],
            )
        )
        self.balancer.set_attribute("access_logs.s3.enabled", "true")
        self.balancer.set_attribute("access_logs.s3.bucket", bucket.bucket_name)
        self.balancer.node.add_dependency(bucket)
