"""Resource types whose name an app may fix and AWS keeps unique, in an account and region or in the whole world.

Types whose names need not be unique are left out on purpose (`AWS::ApiGateway::RestApi`, `AWS::Cognito::UserPool`), and
so are names that live within one resource of the stage (`AWS::IAM::Policy`, `AWS::Lambda::Alias`).
Source: each type's page under
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Named:
    """The property that holds a name, or a list of names; dots lead into objects.

    `within` is the property of the resource in which the name is unique: where that is the stage's own, so is the name.
    """

    property: str
    within: str | None = None


def _one(*types: str, name: str = "Name", within: str | None = None) -> dict[str, tuple[Named, ...]]:
    return {f"AWS::{type_name}": (Named(name, within),) for type_name in types}


NAMED: dict[str, tuple[Named, ...]] = {
    **_one("S3::Bucket", "S3Express::DirectoryBucket", name="BucketName"),
    **_one("S3::AccessPoint"),
    **_one("DynamoDB::Table", "DynamoDB::GlobalTable", "Cassandra::Table", "Timestream::Table", name="TableName"),
    **_one("Lambda::Function", "Serverless::Function", name="FunctionName"),
    **_one("Logs::LogGroup", name="LogGroupName"),
    **_one("SQS::Queue", name="QueueName"),
    **_one("SNS::Topic", name="TopicName"),
    **_one("IAM::Role", name="RoleName"),
    **_one("IAM::User", name="UserName"),
    **_one("IAM::Group", name="GroupName"),
    **_one("IAM::ManagedPolicy", name="ManagedPolicyName"),
    **_one("IAM::InstanceProfile", name="InstanceProfileName"),
    **_one("Events::EventBus", "Events::Connection", "Events::ApiDestination", "Events::Archive"),
    **_one("Events::Rule", within="EventBusName"),
    **_one("Scheduler::Schedule", within="GroupName"),
    **_one("Scheduler::ScheduleGroup", "Pipes::Pipe"),
    **_one("StepFunctions::StateMachine", "Serverless::StateMachine", name="StateMachineName"),
    **_one("StepFunctions::Activity"),
    **_one("Kinesis::Stream", "KinesisVideo::Stream"),
    **_one("KinesisFirehose::DeliveryStream", name="DeliveryStreamName"),
    **_one("SSM::Parameter", "SSM::Document"),
    **_one("SecretsManager::Secret"),
    **_one("KMS::Alias", name="AliasName"),
    **_one("ECR::Repository", name="RepositoryName"),
    **_one("ECS::Cluster", name="ClusterName"),
    **_one("ECS::CapacityProvider"),
    **_one("ECS::Service", name="ServiceName", within="Cluster"),
    **_one("EKS::Cluster"),
    **_one("EC2::SecurityGroup", name="GroupName", within="VpcId"),
    **_one("EC2::LaunchTemplate", name="LaunchTemplateName"),
    **_one("EC2::KeyPair", name="KeyName"),
    **_one("AutoScaling::AutoScalingGroup", name="AutoScalingGroupName"),
    **_one("ElasticLoadBalancingV2::LoadBalancer", "ElasticLoadBalancingV2::TargetGroup"),
    **_one("RDS::DBInstance", "DocDB::DBInstance", "Neptune::DBInstance", name="DBInstanceIdentifier"),
    **_one("RDS::DBCluster", "DocDB::DBCluster", "Neptune::DBCluster", name="DBClusterIdentifier"),
    **_one("RDS::DBSubnetGroup", "DocDB::DBSubnetGroup", "Neptune::DBSubnetGroup", name="DBSubnetGroupName"),
    **_one("RDS::DBParameterGroup", name="DBParameterGroupName"),
    **_one("RDS::DBClusterParameterGroup", name="DBClusterParameterGroupName"),
    **_one("RDS::DBProxy", name="DBProxyName"),
    **_one("ElastiCache::CacheCluster", name="ClusterName"),
    **_one("ElastiCache::ReplicationGroup", name="ReplicationGroupId"),
    **_one("ElastiCache::ServerlessCache", name="ServerlessCacheName"),
    **_one("ElastiCache::SubnetGroup", name="CacheSubnetGroupName"),
    **_one("MemoryDB::Cluster", "MSK::Cluster", name="ClusterName"),
    **_one("OpenSearchService::Domain", "Elasticsearch::Domain", name="DomainName"),
    **_one("OpenSearchServerless::Collection"),
    **_one("Redshift::Cluster", name="ClusterIdentifier"),
    **_one("ApiGateway::DomainName", "ApiGatewayV2::DomainName", "AppSync::DomainName", name="DomainName"),
    **_one("Cognito::UserPoolDomain", name="Domain"),
    **_one("CloudFront::Distribution", name="DistributionConfig.Aliases"),
    **_one("CloudFront::Function", "CloudFront::KeyValueStore"),
    **_one("CloudFront::CachePolicy", name="CachePolicyConfig.Name"),
    **_one("CloudFront::OriginRequestPolicy", name="OriginRequestPolicyConfig.Name"),
    **_one("CloudFront::ResponseHeadersPolicy", name="ResponseHeadersPolicyConfig.Name"),
    **_one("CloudFront::OriginAccessControl", name="OriginAccessControlConfig.Name"),
    **_one("CloudFront::PublicKey", name="PublicKeyConfig.Name"),
    **_one("CloudFront::KeyGroup", name="KeyGroupConfig.Name"),
    **_one("Route53::RecordSet", within="HostedZoneId"),
    **_one("WAFv2::WebACL", "WAFv2::IPSet", "WAFv2::RuleGroup", "WAFv2::RegexPatternSet"),
    **_one("CloudWatch::Alarm", "CloudWatch::CompositeAlarm", name="AlarmName"),
    **_one("CloudWatch::Dashboard", name="DashboardName"),
    **_one("Logs::QueryDefinition", "Synthetics::Canary"),
    **_one("CodeBuild::Project", "CodePipeline::Pipeline"),
    **_one("CodeCommit::Repository", name="RepositoryName"),
    **_one("CodeDeploy::Application", name="ApplicationName"),
    **_one("CodeArtifact::Domain", name="DomainName"),
    **_one("Glue::Database", name="DatabaseInput.Name"),
    **_one("Glue::Job", "Glue::Crawler", "Glue::Trigger", "Glue::Workflow", "Athena::WorkGroup"),
    **_one("Batch::JobQueue", name="JobQueueName"),
    **_one("Batch::ComputeEnvironment", name="ComputeEnvironmentName"),
    **_one("Batch::JobDefinition", name="JobDefinitionName"),
    **_one("SES::ConfigurationSet"),
    **_one("SES::ReceiptRuleSet", name="RuleSetName"),
    **_one("SES::EmailIdentity", name="EmailIdentity"),
    **_one("Backup::BackupVault", name="BackupVaultName"),
    **_one("Signer::SigningProfile", name="ProfileName"),
    **_one("IoT::Thing", name="ThingName"),
    **_one("IoT::Policy", name="PolicyName"),
    **_one("IoT::TopicRule", name="RuleName"),
    **_one("ServiceCatalogAppRegistry::Application"),
    **_one("Timestream::Database", name="DatabaseName"),
    **_one("QLDB::Ledger"),
    **_one("Bedrock::Guardrail", "Bedrock::KnowledgeBase"),
    **_one("Bedrock::Agent", name="AgentName"),
}
