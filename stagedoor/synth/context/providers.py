"""Where facts about an account come from: one function for each of CDK's context providers, all of which only read.

Each takes a way to boto3's clients and a `Query`, and returns the value in the shape that aws-cdk-lib expects in its
context; `NothingFound` where there is none and `LookupFailed` where there is no single one. What is asked for and what
comes back follows `toolkit-lib/lib/context-providers` in https://github.com/aws/aws-cdk-cli (2026-08).
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from stagedoor.errors import UserError
from stagedoor.synth.context.query import Query

ClientOf = Callable[[str], Any]
"""Returns boto3's client of a service."""

MOST = 50_000
"""Things that are looked through for one answer. All images that there are would be some hundred thousand."""

CORRECT = "Correct what the app looks up, or put the value into cdk.context.json."


class LookupFailed(UserError):
    """What the app looks up cannot be told: it is not there, or it is not the only one."""

    id = "lookup-failed"


class NothingFound(LookupFailed):
    """What the app looks up is not there. An app may say that it need not be."""


class SecretLookup(UserError):
    """A lookup whose answer would be a secret: it would stand in the template for everybody to read."""

    id = "secret-lookup"


def availability_zones(client: ClientOf, _query: Query) -> list[str]:
    """Return the names of the region's zones that can be used."""
    zones = client("ec2").describe_availability_zones()["AvailabilityZones"]
    return [zone["ZoneName"] for zone in zones if zone.get("State") == "available"]


def ssm_parameter(client: ClientOf, query: Query) -> str:
    """Return a parameter's value. A `SecureString` is refused, though what would be read is only its ciphertext."""
    name = query.text("parameterName")
    ssm = client("ssm")
    try:
        parameter = ssm.get_parameter(Name=name)["Parameter"]
    except ssm.exceptions.ParameterNotFound:
        raise NothingFound(f"There is no SSM parameter {name!a} in the target.", CORRECT) from None
    if parameter.get("Type") == "SecureString":
        raise SecretLookup(
            f"The app looks up the SSM parameter {name!a}, which is a SecureString.",
            "Refer to it where it is used (`SecretValue.ssm_secure`), so that CloudFormation reads it.",
        )
    return str(parameter["Value"])


def hosted_zone(client: ClientOf, query: Query) -> dict[str, str]:
    """Return id and name of the one hosted zone with a domain's name."""
    domain = query.text("domainName").rstrip(".") + "."
    private, vpc = query.flag("privateZone"), query.optional_text("vpcId")
    route53 = client("route53")
    zones = [
        zone
        for zone in route53.list_hosted_zones_by_name(DNSName=domain).get("HostedZones", [])
        if zone["Name"] == domain and bool(zone.get("Config", {}).get("PrivateZone")) == private
    ]
    if vpc is not None:
        zones = [zone for zone in zones if vpc in _networks(route53, zone["Id"])]
    zone = the_only(zones, f"{'private' if private else 'public'} hosted zone {domain!a}")
    return {"Id": zone["Id"], "Name": zone["Name"]}


def _networks(route53: Any, zone_id: str) -> list[str]:
    return [vpc["VPCId"] for vpc in route53.get_hosted_zone(Id=zone_id).get("VPCs", [])]


def machine_image(client: ClientOf, query: Query) -> str:
    """Return the id of the newest image that fits."""
    owners = query.texts("owners")
    wanted: dict[str, Any] = {"Filters": filters_of(query, "filters"), **({"Owners": owners} if owners else {})}
    newest = max(
        pages(client("ec2"), "describe_images", PaginationConfig={"PageSize": 1_000}, **wanted),
        key=_made_at,
        default=None,
    )
    if newest is None:
        raise NothingFound(f"There is no machine image for {query.key[:300]!a}.", CORRECT)
    return str(newest["ImageId"])


def _made_at(image: dict[str, Any]) -> datetime:
    try:
        made = datetime.fromisoformat(image.get("CreationDate", ""))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def endpoint_service_zones(client: ClientOf, query: Query) -> list[str]:
    """Return the zones in which an endpoint service can be reached; none where it is not there, as the CDK CLI does."""
    answer = client("ec2").describe_vpc_endpoint_services(ServiceNames=[query.text("serviceName")])
    details = answer.get("ServiceDetails", [])
    return list(details[0].get("AvailabilityZones", [])) if details else []


def security_group(client: ClientOf, query: Query) -> dict[str, Any]:
    """Return the id of one security group, and whether it lets everything out."""
    group_id, name, vpc = (query.optional_text(part) for part in ("securityGroupId", "securityGroupName", "vpcId"))
    if (group_id is None) == (name is None):
        raise query.invalid("either securityGroupId or securityGroupName is needed")
    filters = [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
    filters += [{"Name": "group-name", "Values": [name]}] if name else []
    groups = client("ec2").describe_security_groups(**({"GroupIds": [group_id]} if group_id else {}), Filters=filters)
    group = the_only(groups["SecurityGroups"], f"security group {group_id or name!a}")
    return {"securityGroupId": group["GroupId"], "allowAllOutbound": _lets_everything_out(group)}


def _lets_everything_out(group: dict[str, Any]) -> bool:
    everything = [rule for rule in group.get("IpPermissionsEgress", []) if rule.get("IpProtocol") == "-1"]
    four = any(place.get("CidrIp") == "0.0.0.0/0" for rule in everything for place in rule.get("IpRanges", []))
    six = any(place.get("CidrIpv6") == "::/0" for rule in everything for place in rule.get("Ipv6Ranges", []))
    return four and six


def kms_key(client: ClientOf, query: Query) -> dict[str, str]:
    """Return the id of the KMS key that an alias stands for."""
    alias = query.text("aliasName")
    for entry in pages(client("kms"), "list_aliases"):
        if entry["AliasName"] == alias and entry.get("TargetKeyId"):
            return {"keyId": entry["TargetKeyId"]}
    raise NothingFound(f"There is no KMS key with the alias {alias!a} in the target.", CORRECT)


def filters_of(query: Query, name: str) -> list[dict[str, Any]]:
    """Return a property of names and values as EC2 takes filters, one value or several to each name."""
    filters = []
    for filter_name, wanted in query.table(name).items():
        values = wanted if isinstance(wanted, list) else [wanted]
        if not all(isinstance(value, str) for value in values):
            raise query.invalid(f"{name} holds what is no text")
        filters.append({"Name": filter_name, "Values": values})
    return filters


def the_only(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """Return the only one of `found`; raises `NothingFound` for none and `LookupFailed` for more."""
    if not found:
        raise NothingFound(f"There is no {what} in the target.", CORRECT)
    if len(found) > 1:
        raise LookupFailed(f"There are {len(found)} of {what} in the target.", "Look it up more narrowly.")
    return found[0]


def pages(client: Any, operation: str, **arguments: Any) -> Iterator[dict[str, Any]]:
    """Yield the items of all pages of an answer that holds one list; raises `LookupFailed` past `MOST` of them."""
    paginator = client.get_paginator(operation)
    (items,) = (expression.expression for expression in paginator.result_keys)
    seen = 0
    for page in paginator.paginate(**arguments):
        yield from page.get(items, [])
        seen += len(page.get(items, []))
        if seen > MOST:
            raise LookupFailed(f"More than {MOST} of what {operation} tells fit.", "Look it up more narrowly.")
