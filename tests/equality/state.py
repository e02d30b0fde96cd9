"""What an account holds of an app's stacks, as the services themselves say it, with all that must differ taken out.

What must differ: physical names (each becomes its stack's own name and its logical id), the account's number, dates,
ids that a service draws, the addresses of assets, the bootstrap's version, and our tags.
"""

import hashlib
import io
import json
import re
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import boto3

Read = Callable[["Services", str], Any]

_DRAWN = re.compile(
    r"(?i)(date|time|timestamp|modified|lastupdated|revisionid|roleid|tableid|stackid|uuid|etag|requestid|hostid"
    r"|retryattempts|httpheaders|httpstatuscode|responsemetadata|codesha256|codesize|location|uniqueid|reason|reasoncode)$"
)
"""Keys of answers whose values are dates, or ids and hashes of archives that each deploy draws anew."""

_ASSET = re.compile(r"(?:preview/|production/)?[0-9a-f]{64}\.(?:zip|json)")
_OURS = "stagedoor:"


class Services:
    """An account's services, by their boto3 names."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._session = boto3.Session(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
        )
        self.endpoint = environment["AWS_ENDPOINT_URL"]
        self._clients: dict[str, Any] = {}

    def __getitem__(self, service: str) -> Any:
        if service not in self._clients:
            client = self._session.client(service, endpoint_url=self.endpoint)  # type: ignore[call-overload]
            self._clients[service] = client
        return self._clients[service]


def account_state(environment: Mapping[str, str], own_names: Mapping[str, str]) -> dict[str, Any]:
    """Return each stack under the name that the app gives it; `own_names` has those by the names in the account."""
    services = Services(environment)
    raw: dict[str, Any] = {}
    account, region = environment["AWS_ACCESS_KEY_ID"], environment["AWS_REGION"]
    tokens = {account: "ACCOUNT", f"cdk-hnb659fds-assets-{account}-{region}": "<assets>"}
    for name, own in own_names.items():
        resources = _resources(services, name)
        for logical, one in resources.items():
            whole = one["PhysicalResourceId"]
            tokens |= {whole: f"<{own}.{logical}>", re.split("[/:]", whole)[-1]: f"<{own}.{logical}>"}
        [stack] = services["cloudformation"].describe_stacks(StackName=name)["Stacks"]
        tokens[stack["StackId"]] = f"<{own}>"
        raw[own] = _stack(services, stack, resources)
    tokens |= {name: f"<{own}>" for name, own in own_names.items()}
    return {own: _without_what_differs(stack, tokens) for own, stack in raw.items()}


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Return where two states differ, a line for each place."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [line for key in keys for line in differences(one.get(key), other.get(key), f"{place}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for at, pair in pairs for line in differences(*pair, f"{place}[{at}]")]
    return [] if one == other else [f"{place}: {one!r} and {other!r}"]


def physical_ids(environment: Mapping[str, str], own_names: Mapping[str, str]) -> dict[str, str]:
    """Return the physical id of each resource, by its stack's own name and its logical id."""
    services = Services(environment)
    return {
        f"{own}.{logical}": one["PhysicalResourceId"]
        for name, own in own_names.items()
        for logical, one in _resources(services, name).items()
    }


def _resources(services: Services, stack: str) -> dict[str, Any]:
    pages = services["cloudformation"].get_paginator("list_stack_resources").paginate(StackName=stack)
    return {one["LogicalResourceId"]: one for page in pages for one in page["StackResourceSummaries"]}


def _stack(services: Services, stack: Mapping[str, Any], resources: Mapping[str, Any]) -> dict[str, Any]:
    template = services["cloudformation"].get_template(StackName=stack["StackName"])["TemplateBody"]
    return {
        "template": template if isinstance(template, dict) else json.loads(template),
        "parameters": [one for one in stack.get("Parameters", []) if one["ParameterKey"] != "BootstrapVersion"],
        "outputs": stack.get("Outputs", []),
        "tags": stack.get("Tags", []),
        "resources": {logical: _resource(services, one) for logical, one in resources.items()},
    }


def _resource(services: Services, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the service says of a resource; a type that nobody reads here is an error, not an equality."""
    kind = one["ResourceType"]
    return {"type": kind, "properties": [read(services, one["PhysicalResourceId"]) for read in _READS[kind]]}


def _without_what_differs(value: Any, tokens: Mapping[str, str]) -> Any:
    """Return the value with names replaced, longest first, and what is drawn anew each time left out."""
    names = sorted(tokens, key=len, reverse=True)
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])")

    def plain(inner: Any) -> Any:
        match inner:
            case {"Fn::Sub": "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"}:
                return "<assets>"
            case dict():
                return {pattern.sub(_token, str(k)): plain(v) for k, v in inner.items() if _stays(str(k))}
            case list() | tuple():
                kept = [plain(each) for each in inner if not _is_our_tag(each)]
                return sorted(kept, key=lambda each: json.dumps(each, sort_keys=True, default=str))
            case str():
                return _ASSET.sub("<asset>", pattern.sub(_token, inner))
        return inner

    def _token(found: re.Match[str]) -> str:
        return tokens[found[0]]

    return plain(value)


def _stays(key: str) -> bool:
    return not _DRAWN.search(key) and not key.startswith(_OURS)


def _is_our_tag(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("Key", "")).startswith(_OURS)


def _call(service: str, operation: str, argument: str, **more: Any) -> Read:
    return lambda services, physical: getattr(services[service], operation)(**{argument: physical}, **more)


def _function(services: Services, name: str) -> Any:
    """Return a function as it is once it is ready: the local AWS says so a moment after its stack is."""
    for ready in ("function_active_v2", "function_updated_v2"):
        services["lambda"].get_waiter(ready).wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return services["lambda"].get_function_configuration(FunctionName=name)


def _code(services: Services, function: str) -> dict[str, str]:
    """Return the digest of each file of a function's code: archives differ, what is in them must not."""
    location = services["lambda"].get_function(FunctionName=function)["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        archive = zipfile.ZipFile(io.BytesIO(answer.read()))
    return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def _bucket(services: Services, bucket: str) -> dict[str, Any]:
    s3 = services["s3"]
    asked = (s3.get_bucket_versioning, s3.get_bucket_location)
    return {read.__name__: read(Bucket=bucket) for read in asked}


def _parameter(services: Services, name: str) -> dict[str, Any]:
    """Return a parameter without its version: that counts how often it was written."""
    return {**services["ssm"].get_parameter(Name=name)["Parameter"], "Version": None}


def _role(services: Services, role: str) -> dict[str, Any]:
    iam = services["iam"]
    policies = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {
        "role": iam.get_role(RoleName=role),
        "attached": iam.list_attached_role_policies(RoleName=role),
        "inline": {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in policies},
    }


def _api(services: Services, api: str) -> dict[str, Any]:
    v2 = services["apigatewayv2"]
    return {
        "api": v2.get_api(ApiId=api),
        "routes": v2.get_routes(ApiId=api),
        "integrations": v2.get_integrations(ApiId=api),
        "stages": v2.get_stages(ApiId=api),
    }


_READS: dict[str, tuple[Read, ...]] = {
    "AWS::SQS::Queue": (_call("sqs", "get_queue_attributes", "QueueUrl", AttributeNames=["All"]),),
    "AWS::SNS::Topic": (_call("sns", "get_topic_attributes", "TopicArn"),),
    "AWS::SSM::Parameter": (_parameter,),
    "AWS::DynamoDB::Table": (_call("dynamodb", "describe_table", "TableName"),),
    "AWS::S3::Bucket": (_bucket,),
    "AWS::IAM::Role": (_role,),
    "AWS::IAM::Policy": (),  # read with its role
    "AWS::Lambda::Function": (_function, _code),
    "AWS::Lambda::EventSourceMapping": (_call("lambda", "get_event_source_mapping", "UUID"),),
    "AWS::Lambda::Permission": (),  # part of its function's policy
    "AWS::ApiGatewayV2::Api": (_api,),
    "AWS::ApiGatewayV2::Stage": (),  # the rest is read with its API
    "AWS::ApiGatewayV2::Route": (),
    "AWS::ApiGatewayV2::Integration": (),
    "AWS::CDK::Metadata": (),
}
