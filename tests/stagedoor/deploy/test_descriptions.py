from typing import Any

import botocore.session
import pytest

from stagedoor.deploy.clients import new_session

_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "cloudcontrol": ("get_resource", {"TypeName": "AWS::SNS::Topic", "Identifier": "x"}),
    "cloudformation": ("describe_stacks", {}),
    "ec2": ("describe_vpcs", {}),
    "ecr": ("describe_repositories", {}),
    "elbv2": ("describe_load_balancers", {}),
    "kms": ("list_aliases", {}),
    "lambda": ("list_functions", {}),
    "logs": ("describe_log_groups", {}),
    "route53": ("list_hosted_zones_by_name", {}),
    "s3": ("list_objects_v2", {"Bucket": "bucket"}),
    "ssm": ("get_parameter", {"Name": "x"}),
    "stepfunctions": ("list_state_machines", {}),
    "sts": ("get_caller_identity", {}),
}
"""A call to each service that deploys and lookups speak to."""

_REGIONS = ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "mx-central-1")


@pytest.fixture(autouse=True)
def no_local_aws(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture(scope="module")
def sessions() -> tuple[botocore.session.Session, botocore.session.Session]:
    sessions = new_session(), botocore.session.Session()
    for session in sessions:
        session.set_credentials("AKIDEXAMPLE", "secret")
    return sessions


@pytest.mark.parametrize("regional", ["legacy", "regional"])
@pytest.mark.parametrize("region", _REGIONS)
def test_requests_go_where_botocore_itself_sends_them(
    sessions: tuple[botocore.session.Session, botocore.session.Session], region: str, regional: str
):
    """The URL, and the region and service that the signature is for."""
    for session in sessions:
        session.set_config_variable("sts_regional_endpoints", regional)
    ours, theirs = ({name: _sent(session, name, region) for name in _CALLS} for session in sessions)
    assert ours == theirs


def _sent(session: botocore.session.Session, service: str, region: str) -> tuple[str, str]:
    sent: list[tuple[str, str]] = []

    def take(request: Any, **_: Any) -> None:
        signature = request.headers["Authorization"]
        text = signature.decode() if isinstance(signature, bytes) else signature
        sent.append((request.url, text.partition("Credential=")[2].partition(",")[0]))
        raise _Taken

    client: Any = session.create_client(service, region)
    client.meta.events.register("before-send", take)
    operation, arguments = _CALLS[service]
    with pytest.raises(_Taken):
        getattr(client, operation)(**arguments)
    return sent[0]


class _Taken(Exception):
    """The request was seen and is not sent."""
