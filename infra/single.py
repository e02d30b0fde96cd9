"""The variant `single`: all of the service in one container on one machine, behind CloudFront, which brings TLS.

The machine may be replaced at any time: what has to last is on a volume of its own, of which there is a snapshot a day.
"""

from aws_cdk import Aws, CfnCondition, CfnTag, Duration, Fn, RemovalPolicy, Size, Tags, Token
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_dlm as dlm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam

from infra.data import log_group, vpc
from infra.exceptions import accept, accept_wildcards
from infra.machine import Machine, user_data
from infra.secrets import parameters
from infra.services import PORT
from infra.watch import BEHIND, SUBSCRIBE, Watch, Watched, counted
from infra.wishes import Wishes
from stagedoor.constructs import App, Stack

MACHINE = "t3.medium"
"""There is one in each region; a `t3a`, a tenth cheaper, is not in seventeen of them."""
KERNEL = "6.12"
"""Of Amazon Linux, which has Landlock since release 2023.8.20250804; ports it knows since Linux 6.7."""
DATA_GB = 30
BACKED_UP = "stagedoor:data"


class Single(Stack):
    """One machine, its volume, and the address that people and GitHub know."""

    def __init__(self, app: App, construct_id: str, wishes: Wishes) -> None:
        super().__init__(app, construct_id, description="Stagedoor on one machine")
        self._wishes = wishes
        self._vpc = vpc(self, zones=1, nat=False)
        self._log = log_group(self, "Log")
        self._parameters = parameters(self)
        self.role = self._role()
        self._volume = self._data_volume()
        address = ec2.CfnEIP(self, "Address", domain="vpc")
        self.distribution = self._front(address)
        self.machine = self._machine()
        ec2.CfnEIPAssociation(
            self, "Addressed", allocation_id=address.attr_allocation_id, instance_id=self.machine.instance_id
        )
        watch = self._watch()
        self.output("Url", f"https://{self.distribution.distribution_domain_name}")
        self.output("WorkerRole", self.role.role_arn, description="The principal of targets' roles")
        self.output("Alarms", watch.topic.nodes.topic.topic_arn, description=SUBSCRIBE)

    def _role(self) -> iam.Role:
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")],
        )
        self._log.grant_write(role)
        repository = ecr.Repository.from_repository_name(self, "Repository", self._wishes.image_repository)
        repository.grant_pull(role)
        named = [
            f"arn:{Aws.PARTITION}:ssm:{Aws.REGION}:{Aws.ACCOUNT_ID}:parameter{each}"
            for each in self._parameters.values()
        ]
        role.add_to_policy(iam.PolicyStatement(actions=["ssm:GetParameters"], resources=named))
        if self._wishes.target_roles:
            role.add_to_policy(iam.PolicyStatement(actions=["sts:AssumeRole"], resources=self._wishes.target_roles))
        accept(role, "IAM4", "Session Manager, in place of SSH: no port is open for it.",
               "Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonSSMManagedInstanceCore")  # fmt: skip
        accept(role, "IAM5", "ECR's login has no resource.", "Resource::*")
        return role

    def _data_volume(self) -> ec2.Volume:
        volume = ec2.Volume(
            self,
            "Data",
            availability_zone=self._vpc.availability_zones[0],
            size=Size.gibibytes(DATA_GB),
            volume_type=ec2.EbsDeviceVolumeType.GP3,
            encrypted=True,
            removal_policy=RemovalPolicy.SNAPSHOT if self.is_lasting else RemovalPolicy.DESTROY,
        )
        backup = iam.Role(
            self,
            "BackupRole",
            assumed_by=iam.ServicePrincipal("dlm.amazonaws.com"),
            managed_policies=[
                iam.ManagedPolicy.from_aws_managed_policy_name("service-role/AWSDataLifecycleManagerServiceRole")
            ],
        )
        policy = "service-role/AWSDataLifecycleManagerServiceRole"
        accept(backup, "IAM4", "AWS's own, for its own.", f"Policy::arn:<AWS::Partition>:iam::aws:policy/{policy}")
        daily = dlm.CfnLifecyclePolicy.CreateRuleProperty(interval=24, interval_unit="HOURS", times=["03:00"])
        schedule = dlm.CfnLifecyclePolicy.ScheduleProperty(
            name="daily",
            create_rule=daily,
            retain_rule=dlm.CfnLifecyclePolicy.RetainRuleProperty(count=14),
            copy_tags=True,
        )
        dlm.CfnLifecyclePolicy(
            self,
            "Backup",
            description="Stagedoor - a snapshot a day for two weeks",
            state="ENABLED",
            execution_role_arn=backup.role_arn,
            policy_details=dlm.CfnLifecyclePolicy.PolicyDetailsProperty(
                resource_types=["VOLUME"],
                target_tags=[CfnTag(key=BACKED_UP, value=Aws.STACK_NAME)],
                schedules=[schedule],
            ),
        )
        Tags.of(volume).add(BACKED_UP, Aws.STACK_NAME)
        return volume

    def _machine(self) -> ec2.Instance:
        group = ec2.SecurityGroup(self, "Group", vpc=self._vpc, description="Stagedoor, from CloudFront alone")
        group.add_ingress_rule(ec2.Peer.prefix_list(self._cloudfront_addresses()), ec2.Port.tcp(PORT))
        machine = Machine(
            image=f"{Aws.ACCOUNT_ID}.dkr.ecr.{Aws.REGION}.{Aws.URL_SUFFIX}/{self._wishes.image_repository}",
            tag=self._wishes.image_tag,
            region=Aws.REGION,
            log_group=self._log.log_group_name,
            volume=self._volume.volume_id,
            parameters=self._parameters,
            settings=self._settings(),
            targets=self._wishes.targets,
        )
        instance = ec2.Instance(
            self,
            "Machine",
            vpc=self._vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            instance_type=ec2.InstanceType(MACHINE),
            machine_image=ec2.AmazonLinux2023ImageSsmParameter(
                kernel=ec2.AmazonLinux2023Kernel(KERNEL), cached_in_context=False
            ),
            role=self.role,
            security_group=group,
            user_data=ec2.UserData.custom(user_data(machine)),
            user_data_causes_replacement=True,
            http_tokens=ec2.HttpTokens.REQUIRED,
            http_put_response_hop_limit=2,
            detailed_monitoring=True,
            disable_api_termination=False,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(20, encrypted=True, volume_type=ec2.EbsDeviceVolumeType.GP3),
                )
            ],
        )
        self._volume.grant_attach_volume_by_resource_tag(self.role, [instance])
        accept(instance, "EC29", "The machine holds nothing: whatever ends it, another takes the volume.")
        instances = [f"arn:{Aws.PARTITION}:ec2:{Aws.REGION}:{Aws.ACCOUNT_ID}:instance/*"]
        accept_wildcards(self.role, instances, "The machine that attaches the volume is named by a tag of the stack's.")
        return instance

    def _settings(self) -> dict[str, str]:
        return {
            "STAGEDOOR_PUBLIC_URL": f"https://{self.distribution.distribution_domain_name}",
            "STAGEDOOR_SYNTH_CONFINEMENT": "required",
            **self._wishes.github,
        }

    def _cloudfront_addresses(self) -> str:
        """Return the list of the addresses that CloudFront comes from; an operator looks it up once a region."""
        return str(self.node.try_get_context("cloudfront_prefix_list") or "pl-3b927c52")  # us-east-1's

    def _front(self, address: ec2.CfnEIP) -> cloudfront.Distribution:
        # The name that AWS gives a public address; us-east-1's has no region in it.
        dashed = Fn.join("-", Fn.split(".", address.ref))
        name = Fn.join("", ["ec2-", dashed, self._zone()])
        origin = origins.HttpOrigin(
            name,
            protocol_policy=cloudfront.OriginProtocolPolicy.HTTP_ONLY,
            http_port=PORT,
            read_timeout=Duration.seconds(60),
            keepalive_timeout=Duration.seconds(60),
        )
        distribution = cloudfront.Distribution(
            self,
            "Front",
            comment="Stagedoor",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origin,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                compress=False,
            ),
            http_version=cloudfront.HttpVersion.HTTP2,
            price_class=cloudfront.PriceClass.PRICE_CLASS_100,
        )
        for rule, reason in (
            ("CFR1", "A team may be anywhere."),
            ("CFR2", "Whoever calls is known by signature or token; a firewall would cost more than the machine."),
            ("CFR3", "The service's own log has each webhook and each refusal."),
            ("CFR4", "CloudFront's own domain has this minimum; a domain of one's own may have a higher."),
            ("CFR5", "The machine takes connections from CloudFront's network alone (docs/threat-model.md)."),
        ):
            accept(distribution, rule, reason)
        return distribution

    def _zone(self) -> str:
        first = CfnCondition(self, "FirstRegion", expression=Fn.condition_equals(Aws.REGION, "us-east-1"))
        others = f".{Aws.REGION}.compute.amazonaws.com"
        return Token.as_string(Fn.condition_if(first.logical_id, ".compute-1.amazonaws.com", others))

    def _watch(self) -> Watch:
        behind = counted(self._log, "Behind", BEHIND, "behind", "Maximum")
        return Watch(
            self,
            "Watch",
            [Watched("Behind", behind, 0, 15, "Stages are not as they are wanted, or nothing is heard.", silence=True)],
        )
