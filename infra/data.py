"""What has to outlive the service's processes: network, database, queue, blobs, secrets."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_logs as logs
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.exceptions import accept
from infra.wishes import Wishes
from stagedoor.constructs import App, Bucket, Stack

DATABASE_PORT, QUEUE_PORT = 5432, 6379
_URL_UNSAFE = " %+~`#$&*()|[]{}:;<>?!'/@\"\\^=,"
"""What a password must not have in it that stands in a URL."""


class Data(Stack):
    """The service's data and the network that they are in.

    `database_url` and `queue_url` are secrets whose values are whole URLs; they are in no template, as CloudFormation
    puts the passwords in.
    """

    def __init__(self, app: App, construct_id: str, wishes: Wishes) -> None:
        super().__init__(app, construct_id, description="Stagedoor: network, database, queue, blobs")
        self.vpc = vpc(self)
        self.blobs = blobs(self)
        self.database = self._database()
        self.database_url = self._url("DatabaseUrl", self._database_url())
        self.queue_group = ec2.SecurityGroup(self, "QueueGroup", vpc=self.vpc, allow_all_outbound=False)
        self.queue, self.queue_url = self._queue()

    def _database(self) -> rds.DatabaseInstance:
        credentials = rds.Credentials.from_generated_secret("stagedoor", exclude_characters=_URL_UNSAFE)
        database = rds.DatabaseInstance(
            self,
            "Database",
            engine=rds.DatabaseInstanceEngine.postgres(
                version=rds.PostgresEngineVersion.VER_18
            ),  # AWS sees to the minor one
            instance_type=ec2.InstanceType("t4g.small"),
            vpc=self.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            credentials=credentials,
            database_name="stagedoor",
            port=DATABASE_PORT,
            multi_az=self.is_lasting,
            storage_encrypted=True,
            allocated_storage=20,
            max_allocated_storage=200,
            backup_retention=Duration.days(14),
            deletion_protection=self.is_lasting,
            removal_policy=RemovalPolicy.SNAPSHOT if self.is_lasting else RemovalPolicy.DESTROY,
            enable_performance_insights=True,
        )
        accept(database, "SMG4", "Processes read the URL when they start; docs/upgrade.md says how it is changed.")
        accept(database, "RDS11", "No stranger reaches the port: the security group names who does.")
        if not self.is_lasting:
            accept(database, "RDS3", "One zone, in stages that are not to last.")
            accept(database, "RDS10", "A stage that is not to last goes with its database.")
        return database

    def _database_url(self) -> str:
        secret = self.database.secret
        password = secret.secret_value_from_json("password").unsafe_unwrap() if secret else ""
        address = f"{self.database.db_instance_endpoint_address}:{DATABASE_PORT}"
        return f"postgresql://stagedoor:{password}@{address}/stagedoor?sslmode=require"

    def _queue(self) -> tuple[elasticache.CfnReplicationGroup, secretsmanager.CfnSecret]:
        token = secretsmanager.Secret(
            self,
            "QueueToken",
            generate_secret_string=secretsmanager.SecretStringGenerator(exclude_punctuation=True, password_length=48),
        )
        accept(token, "SMG4", "It opens a queue that holds nothing but ids, and only to the service's own processes.")
        subnets = elasticache.CfnSubnetGroup(
            self,
            "QueueSubnets",
            description="Stagedoor's queue",
            subnet_ids=self.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
        )
        two = self.is_lasting
        queue = elasticache.CfnReplicationGroup(
            self,
            "Queue",
            replication_group_description="Stagedoor's queue: rings, and which process has which tunnel",
            engine="valkey",
            engine_version="8.0",
            cache_node_type="cache.t4g.micro",
            num_cache_clusters=2 if two else 1,
            automatic_failover_enabled=two,
            multi_az_enabled=two,
            port=QUEUE_PORT,
            transit_encryption_enabled=True,
            at_rest_encryption_enabled=True,
            auth_token=token.secret_value.unsafe_unwrap(),
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[self.queue_group.security_group_id],
        )
        accept(queue, "AEC5", "No stranger reaches the port: the security group names who does.")
        if not two:
            accept(queue, "AEC4", "One node, in stages that are not to last: losing the queue delays work by seconds.")
        address = queue.attr_primary_end_point_address
        return queue, self._url("QueueUrl", f"rediss://:{token.secret_value.unsafe_unwrap()}@{address}:{QUEUE_PORT}")

    def _url(self, construct_id: str, url: str) -> secretsmanager.CfnSecret:
        secret = secretsmanager.CfnSecret(self, construct_id, secret_string=url)
        accept(secret, "SMG4", "A URL that follows from others; it changes with them.")
        return secret


def vpc(scope: Construct, *, zones: int = 2, nat: bool = True) -> ec2.Vpc:
    """Make a network whose traffic is logged. Without `nat` there are public subnets alone."""
    public = ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24)
    others = [
        ec2.SubnetConfiguration(name="service", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=22),
        ec2.SubnetConfiguration(name="data", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24),
    ]
    made = ec2.Vpc(
        scope,
        "Vpc",
        max_azs=zones,
        nat_gateways=1 if nat else 0,
        subnet_configuration=[public, *(others if nat else [])],
        gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
    )
    made.add_flow_log(
        "Traffic",
        destination=ec2.FlowLogDestination.to_cloud_watch_logs(
            logs.LogGroup(
                scope, "TrafficLog", retention=logs.RetentionDays.ONE_MONTH, removal_policy=RemovalPolicy.DESTROY
            )
        ),
        traffic_type=ec2.FlowLogTrafficType.REJECT,
    )
    return made


def blobs(scope: Construct) -> Bucket:
    """Make the blob store: runs' logs, assemblies, uploads."""
    bucket = Bucket(scope, "Blobs", cdk={"bucket": {"removal_policy": RemovalPolicy.RETAIN}})
    accept(bucket, "S1", "Who reads and writes are two roles of the service; its audit table says who did what.")
    return bucket


def log_group(scope: Construct, construct_id: str) -> logs.LogGroup:
    """Make a log that is kept for a month."""
    month = logs.RetentionDays.ONE_MONTH
    return logs.LogGroup(scope, construct_id, retention=month, removal_policy=RemovalPolicy.DESTROY)
