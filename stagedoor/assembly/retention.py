"""What stays in the account when a stack is deleted, and what of it a disposable stage takes with it.

Data is retained by CDK's defaults, which serve production; a preview that left its buckets and log groups behind would
fill the account. Only the types in `DATA` are changed. What else an app retains stays and is reported, since it may be
shared: the role of `AWS::ApiGateway::Account` serves all REST APIs of an account and region, whichever stack wrote it.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html
"""

from collections.abc import Iterator
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of, resources, strings_in, with_resources

RETAINING = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})

DATA = frozenset(
    f"AWS::{type_name}"
    for type_name in (
        "S3::Bucket",
        "S3Express::DirectoryBucket",
        "S3Tables::TableBucket",
        "S3Vectors::VectorBucket",
        "DynamoDB::Table",
        "DynamoDB::GlobalTable",
        "Logs::LogGroup",
        "KMS::Key",
        "KMS::Alias",
        "SQS::Queue",
        "SNS::Topic",
        "Kinesis::Stream",
        "ECR::Repository",
        "EFS::FileSystem",
        "FSx::FileSystem",
        "EC2::Volume",
        "RDS::DBInstance",
        "RDS::DBCluster",
        "DocDB::DBInstance",
        "DocDB::DBCluster",
        "Neptune::DBInstance",
        "Neptune::DBCluster",
        "Redshift::Cluster",
        "RedshiftServerless::Namespace",
        "DSQL::Cluster",
        "ElastiCache::CacheCluster",
        "ElastiCache::ReplicationGroup",
        "ElastiCache::ServerlessCache",
        "MemoryDB::Cluster",
        "OpenSearchService::Domain",
        "Elasticsearch::Domain",
        "OpenSearchServerless::Collection",
        "Timestream::Database",
        "Timestream::Table",
        "Cassandra::Table",
        "Cognito::UserPool",
        "Cognito::IdentityPool",
        "SecretsManager::Secret",
        "SSM::Parameter",
        "Events::EventBus",
        "Events::Archive",
        "Backup::BackupVault",
        "CloudTrail::Trail",
        "CloudTrail::EventDataStore",
        "CodeBuild::ReportGroup",
        "Glue::Database",
        "QLDB::Ledger",
        "RDS::GlobalCluster",
        "DocDB::GlobalCluster",
        "Neptune::GlobalCluster",
        "NeptuneGraph::Graph",
        "SDB::Domain",
        "VerifiedPermissions::PolicyStore",
    )
)
"""Types that hold data and belong to the stage alone."""

SNAPSHOT_BY_DEFAULT = frozenset({"AWS::RDS::DBInstance", "AWS::RDS::DBCluster"})
"""Types of which CloudFormation takes a snapshot on deletion unless told otherwise."""


def with_disposable_data(template: Template) -> Template:
    """Return the template with its data deleted with the stack, and nothing in the way of that."""
    return with_resources(template, lambda _logical_id, resource: _disposable(resource))


def retained(template: Template) -> Iterator[tuple[str, str]]:
    """Yield logical id and type of each resource that stays when the stack of a disposable stage is deleted."""
    for logical_id, resource in resources(template):
        if resource["Type"] not in DATA and resource.get("DeletionPolicy") in RETAINING:
            yield logical_id, resource["Type"]


def account_wide(template: Template) -> frozenset[str]:
    """Return the logical ids of settings that an account and region have once, and of the roles that they use."""
    singletons = {key: value for key, value in resources(template) if value["Type"] == "AWS::ApiGateway::Account"}
    used = {text for resource in singletons.values() for text in strings_in(properties_of(resource))}
    return frozenset(singletons) | {logical_id for logical_id, _ in resources(template) if logical_id in used}


def _disposable(resource: dict[str, Any]) -> dict[str, Any]:
    type_name, properties = resource["Type"], properties_of(resource)
    changed = {key: value for key, value in _unprotected(type_name, properties).items() if key in properties}
    if type_name == "AWS::ECR::Repository":
        # CloudFormation refuses to delete a repository that holds images, unless it is told to empty it.
        changed["EmptyOnDelete"] = True
    policies = {
        policy: "Delete"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy")
        if type_name in DATA and (resource.get(policy) in RETAINING or type_name in SNAPSHOT_BY_DEFAULT)
    }
    return {**resource, **({"Properties": {**properties, **changed}} if changed else {}), **policies}


_UNPROTECTED: dict[str, Any] = {
    "AWS::Cognito::UserPool": "INACTIVE",
    "AWS::AutoScaling::AutoScalingGroup": "none",
    "AWS::VerifiedPermissions::PolicyStore": {"Mode": "DISABLED"},
}
"""How the types whose `DeletionProtection` is no boolean say that it is off."""


def _unprotected(type_name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that would keep a resource from being deleted, switched off."""
    if type_name == "AWS::ElasticLoadBalancingV2::LoadBalancer":
        attributes = properties.get("LoadBalancerAttributes")
        off = [_attribute_off(item) for item in attributes] if isinstance(attributes, list) else attributes
        return {"LoadBalancerAttributes": off}
    flags = ("DeletionProtectionEnabled", "TerminationProtectionEnabled", "DisableApiTermination")
    return {"DeletionProtection": _UNPROTECTED.get(type_name, False), **dict.fromkeys(flags, False)}


def _attribute_off(attribute: Any) -> Any:
    if isinstance(attribute, dict) and attribute.get("Key") == "deletion_protection.enabled":
        return {**attribute, "Value": "false"}
    return attribute
