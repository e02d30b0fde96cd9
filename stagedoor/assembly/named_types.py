"""Resource types whose name an app may fix and AWS keeps unique, in an account and region or in the whole world.

Most are in `named_types.json`, made from AWS's specification by `named_types_making.py`. Here are those whose names are
in an object or are unique though the specification does not say so. Left out on purpose are types whose names need not
be unique (`AWS::ApiGateway::RestApi`, `AWS::Cognito::UserPool`, `AWS::Lambda::LayerVersion`).
Source: https://github.com/cdklabs/awscdk-service-spec, and for those below each type's page under
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_TABLE = Path(__file__).with_name("named_types.json")


@dataclass(frozen=True, slots=True)
class Named:
    """The property that holds a name, or a list of names; dots lead into objects.

    `within` are the properties that tell in what the name is unique: where one of them is the stage's own, so is the
    name.
    """

    property: str
    within: tuple[str, ...] = ()


def _one(*types: str, name: str = "Name", within: str | None = None) -> dict[str, tuple[Named, ...]]:
    return {f"AWS::{type_name}": (Named(name, (within,) if within else ()),) for type_name in types}


ATTACHED: Mapping[str, tuple[Named, ...]] = {
    **_one("S3::BucketPolicy", name="Bucket"),
    **_one("SQS::QueuePolicy", name="Queues"),
    **_one("SNS::TopicPolicy", name="Topics"),
    **_one("Kinesis::ResourcePolicy", "WAFv2::WebACLAssociation", name="ResourceArn"),
    **_one("SecretsManager::ResourcePolicy", "SecretsManager::RotationSchedule", name="SecretId"),
    **_one("ECS::ClusterCapacityProviderAssociations", name="Cluster"),
    "Custom::CDKBucketDeployment": (Named("DestinationBucketName", ("DestinationBucketKeyPrefix",)),),
}
"""What another resource can have only one of, and the property that says of which: each stage would overwrite the
others' there, and take it away with itself.
"""

_CURATED: dict[str, tuple[Named, ...]] = {
    **_one("Serverless::Function", name="FunctionName"),
    **_one("Serverless::SimpleTable", name="TableName"),
    **_one("Serverless::StateMachine"),
    **_one("IAM::ManagedPolicy", name="ManagedPolicyName"),
    **_one("IAM::OIDCProvider", name="Url"),
    **_one("Events::Rule", within="EventBusName"),
    **_one("Scheduler::Schedule", within="GroupName"),
    **_one("SecretsManager::Secret", "CodeStarNotifications::NotificationRule"),
    **_one("CloudFormation::Macro"),
    **_one("CloudFormation::StackSet", name="StackSetName"),
    **_one("APS::RuleGroupsNamespace", within="Workspace"),
    **_one("Evidently::Experiment", "Evidently::Feature", "Evidently::Launch", within="Project"),
    "AWS::S3Vectors::Index": (Named("IndexName", ("VectorBucketName", "VectorBucketArn")),),
    "AWS::StepFunctions::StateMachineAlias": (),  # of a version that only its routing names
    **_one("AmazonMQ::Broker", name="BrokerName"),
    **_one("EKS::Nodegroup", name="NodegroupName", within="ClusterName"),
    **_one("ECS::Service", name="ServiceName", within="Cluster"),
    **_one("EC2::SecurityGroup", name="GroupName", within="VpcId"),
    **_one("EC2::LaunchTemplate", name="LaunchTemplateName"),
    **_one("ElasticLoadBalancingV2::LoadBalancer", "ElasticLoadBalancingV2::TargetGroup"),
    **_one("VpcLattice::Listener", within="ServiceIdentifier"),
    **_one("VpcLattice::Rule", within="ListenerIdentifier"),
    **_one("VpcLattice::Service", "VpcLattice::ServiceNetwork", "VpcLattice::TargetGroup"),
    **_one("ServiceDiscovery::HttpNamespace"),
    **_one("ServiceDiscovery::PrivateDnsNamespace", within="Vpc"),
    **_one("ServiceDiscovery::Service", within="NamespaceId"),
    **_one("DocDB::DBInstance", name="DBInstanceIdentifier"),
    **_one("DocDB::DBCluster", name="DBClusterIdentifier"),
    **_one("Timestream::InfluxDBInstance", "Timestream::InfluxDBCluster"),
    **_one("MSK::Cluster", name="ClusterName"),
    **_one("OpenSearchServerless::Collection", "OpenSearchServerless::SecurityConfig"),
    **_one("ApiGateway::ApiKey", name="Value"),
    **_one("Cognito::UserPoolDomain", name="Domain"),
    **_one("CloudFront::Distribution", name="DistributionConfig.Aliases"),
    **_one("CloudFront::CachePolicy", name="CachePolicyConfig.Name"),
    **_one("CloudFront::OriginRequestPolicy", name="OriginRequestPolicyConfig.Name"),
    **_one("CloudFront::ResponseHeadersPolicy", name="ResponseHeadersPolicyConfig.Name"),
    **_one("CloudFront::OriginAccessControl", name="OriginAccessControlConfig.Name"),
    **_one("CloudFront::PublicKey", name="PublicKeyConfig.Name"),
    **_one("CloudFront::KeyGroup", name="KeyGroupConfig.Name"),
    **_one("Route53::RecordSet", within="HostedZoneId"),
    **_one("WAFv2::WebACL", "WAFv2::IPSet", "WAFv2::RuleGroup", "WAFv2::RegexPatternSet"),
    **_one("Logs::QueryDefinition"),
    **_one("Budgets::Budget", name="Budget.BudgetName"),
    **_one("CE::CostCategory"),
    "AWS::Glue::Database": (Named("DatabaseInput.Name"), Named("DatabaseName")),
    "AWS::Glue::Table": (Named("TableInput.Name", ("DatabaseName",)), Named("Name", ("DatabaseName",))),
    **_one("Glue::Connection", name="ConnectionInput.Name"),
    **_one("Glue::Schema", within="Registry"),
    **_one("Glue::MLTransform"),
    **_one("SES::Template", name="Template.TemplateName"),
    **_one("SES::EmailIdentity", name="EmailIdentity"),
    **_one("ServiceCatalogAppRegistry::Application"),
    **_one("SageMaker::PartnerApp", "RAM::Permission", "Lambda::NetworkConnector"),
    **_one("GuardDuty::IPSet", "GuardDuty::ThreatIntelSet", within="DetectorId"),
    **_one("Bedrock::Guardrail", "Bedrock::KnowledgeBase", "Bedrock::Flow", "Bedrock::Prompt"),
    **_one("Bedrock::Agent", name="AgentName"),
}


def _specified() -> Iterator[tuple[str, tuple[Named, ...]]]:
    rows: Mapping[str, list[str]] = json.loads(_TABLE.read_text(encoding="utf-8"))
    for type_name, (*within, name) in rows.items():
        yield type_name, (Named(name, tuple(within)),)


NAMED: Mapping[str, tuple[Named, ...]] = {**dict(_specified()), **_CURATED, **ATTACHED}
"""What names a resource, by type."""
