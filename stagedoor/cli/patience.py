"""How long resources that are known to be slow usually take: so that who waits knows whether to worry.

The minutes are rough, from AWS's own pages where they give any; nothing is decided by them.
"""

_MINUTES = {
    "AWS::CloudFront::Distribution": "3 to 10 minutes",
    "AWS::RDS::DBInstance": "5 to 15 minutes",
    "AWS::RDS::DBCluster": "2 to 10 minutes",
    "AWS::ElastiCache::ReplicationGroup": "5 to 15 minutes",
    "AWS::OpenSearchService::Domain": "15 to 30 minutes",
    "AWS::Elasticsearch::Domain": "15 to 30 minutes",
    "AWS::MSK::Cluster": "20 to 30 minutes",
    "AWS::EKS::Cluster": "8 to 15 minutes",
    "AWS::EKS::Nodegroup": "3 to 6 minutes",
    "AWS::Redshift::Cluster": "5 to 10 minutes",
    "AWS::EC2::NatGateway": "2 to 3 minutes",
    "AWS::EC2::VPCEndpoint": "1 to 3 minutes",
    "AWS::ElasticLoadBalancingV2::LoadBalancer": "2 to 4 minutes",
    "AWS::ECS::Service": "until its tasks are healthy",
    "AWS::CertificateManager::Certificate": "until its DNS record is there",
    "AWS::CloudFormation::CustomResource": "at most an hour",
}


def usual_time(resource_type: str) -> str:
    """Return how long a resource of this type usually takes, in words; empty where it takes seconds."""
    if resource_type.startswith("Custom::"):
        return _MINUTES["AWS::CloudFormation::CustomResource"]
    return _MINUTES.get(resource_type, "")
