# mypy: ignore-errors
"""A CDK app that looks up what it can; it is run by the interpreter that has aws-cdk-lib, not imported."""

import os

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_ssm as ssm

app = cdk.App()
HERE = cdk.Environment(account=os.environ["CDK_DEFAULT_ACCOUNT"], region=os.environ["CDK_DEFAULT_REGION"])
looking = cdk.Stack(app, "Looking", env=HERE)
vpc = ec2.Vpc.from_lookup(looking, "Vpc", tags={"owner": "a:b"}, subnet_group_name_tag="group")
ssm.StringParameter.value_from_lookup(looking, "/a/parameter")
ssm.StringParameter.value_from_lookup(looking, "/may/be/missing", "else")
route53.HostedZone.from_lookup(looking, "Zone", domain_name="example.com")
ec2.SecurityGroup.from_lookup_by_name(looking, "Group", "default", vpc)
kms.Key.from_lookup(looking, "Key", alias_name="alias/mine")
ec2.MachineImage.lookup(name="al2023-*", owners=["amazon"], filters={"state": ["available"]}).get_image(looking)
elb.ApplicationLoadBalancer.from_lookup(looking, "Balancer", load_balancer_tags={"name": "mine"})
elb.ApplicationListener.from_lookup(looking, "Listener", load_balancer_tags={"name": "mine"}, listener_port=443)
ec2.InterfaceVpcEndpoint(
    looking,
    "Endpoint",
    vpc=ec2.Vpc(looking, "Own", max_azs=2),
    service=ec2.InterfaceVpcEndpointService("com.amazonaws.us-east-1.ssm", 443),
    lookup_supported_azs=True,
)
app.synth()
