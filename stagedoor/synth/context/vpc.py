"""What a VPC looks like to CDK: its subnets in groups of a name and a type, across availability zones.

Types come from CDK's own tags, else from the routes: a subnet with a way to an internet gateway is public, one with a
way out through a NAT or transit gateway private, any other isolated. Source: `context-providers/vpcs.ts` of
`toolkit-lib` in https://github.com/aws/aws-cdk-cli (2026-08).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from stagedoor.synth.context.providers import ClientOf, LookupFailed, filters_of, pages, the_only
from stagedoor.synth.context.query import Query

_TYPES = ("Isolated", "Private", "Public")
_TYPE_TAG = "aws-cdk:subnet-type"
_NAME_TAG = "aws-cdk:subnet-name"


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet; `type` is `Public`, `Private` or `Isolated`."""

    id: str
    zone: str
    cidr: str
    type: str
    name: str
    route_table: str


def vpc(client: ClientOf, query: Query) -> dict[str, Any]:
    """Return the one VPC that fits the filter, in the shape of CDK's `VpcContextResponse`."""
    ec2 = client("ec2")
    found = the_only(list(pages(ec2, "describe_vpcs", Filters=filters_of(query, "filter"))), f"VPC {query.key[:300]!a}")
    vpc_id = found["VpcId"]
    within = [{"Name": "vpc-id", "Values": [vpc_id]}]
    routes = RouteTables(list(pages(ec2, "describe_route_tables", Filters=within)))
    name_tag = query.optional_text("subnetGroupNameTag")
    subnets = [subnet(raw, routes, name_tag) for raw in pages(ec2, "describe_subnets", Filters=within)]
    answer = {
        "vpcId": vpc_id,
        "vpcCidrBlock": found["CidrBlock"],
        "ownerAccountId": found.get("OwnerId"),
        "availabilityZones": [],
        "vpnGatewayId": _vpn_gateway(ec2, vpc_id) if query.flag("returnVpnGateways", True) else None,
    }
    asymmetric = query.flag("returnAsymmetricSubnets")
    answer |= {"subnetGroups": asymmetric_groups(subnets)} if asymmetric else symmetric_groups(subnets)
    return {name: value for name, value in answer.items() if value is not None}


def _vpn_gateway(ec2: Any, vpc_id: str) -> str | None:
    """Return the id of the gateway that is attached, where there is exactly one."""
    wanted = {"attachment.vpc-id": vpc_id, "attachment.state": "attached", "state": "available"}
    filters = [{"Name": name, "Values": [value]} for name, value in wanted.items()]
    gateways = ec2.describe_vpn_gateways(Filters=filters).get("VpnGateways", [])
    return str(gateways[0]["VpnGatewayId"]) if len(gateways) == 1 else None


class RouteTables:
    """A VPC's route tables, as EC2 describes them. A subnet that has none of its own uses the main one."""

    def __init__(self, tables: Sequence[Mapping[str, Any]]) -> None:
        self._main: Mapping[str, Any] = {}
        self._own: dict[str, Mapping[str, Any]] = {}
        for table in tables:
            for association in table.get("Associations", []):
                if association.get("Main"):
                    self._main = self._main or table
                elif "SubnetId" in association:
                    self._own.setdefault(association["SubnetId"], table)

    def of(self, subnet_id: str) -> Mapping[str, Any]:
        """Return the table that a subnet's packets are routed by; empty where there is none."""
        return self._own.get(subnet_id, self._main)


def subnet(raw: Mapping[str, Any], routes: RouteTables, name_tag: str | None = None) -> Subnet:
    """Return a subnet as EC2 describes it with type, group and route table.

    Raises `LookupFailed` where its tags name a type that CDK does not know, or lack the tag that was asked for.
    """
    tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])}
    table = routes.of(raw["SubnetId"])
    kind = tags.get(_TYPE_TAG) or _type_by_routes(raw, table)
    if kind not in _TYPES:
        raise _odd(raw, f"the type {kind!a}, which CDK does not know", f"Tag it {_TYPE_TAG}={', '.join(_TYPES)}.")
    if name_tag and not tags.get(name_tag):
        raise _odd(raw, f"no tag {name_tag!a}", "Tag it, or look the VPC up without `subnet_group_name_tag`.")
    if "RouteTableId" not in table:
        raise _odd(raw, "no route table", "Associate it with one.")
    name = tags.get(name_tag or _NAME_TAG) or kind
    return Subnet(raw["SubnetId"], raw["AvailabilityZone"], raw["CidrBlock"], kind, name, table["RouteTableId"])


def _type_by_routes(raw: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    routes = table.get("Routes", [])
    if raw.get("MapPublicIpOnLaunch") or any(str(route.get("GatewayId", "")).startswith("igw-") for route in routes):
        return "Public"
    ways_out = [route for route in routes if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
    if any(route.get("NatGatewayId") or route.get("TransitGatewayId") for route in ways_out):
        return "Private"
    return "Isolated"


def _odd(raw: Mapping[str, Any], what: str, remedy: str) -> LookupFailed:
    return LookupFailed(f"The subnet {raw['SubnetId']} of the VPC that the app looks up has {what}.", remedy)


def symmetric_groups(subnets: Sequence[Subnet]) -> dict[str, Any]:
    """Return CDK's older shape: lists by type. Every group must be in the same zones, else `LookupFailed`."""
    groups = _groups(subnets)
    zones = [one.zone for one in groups[0]] if groups else []
    for group in groups:
        if [one.zone for one in group] != zones:
            raise LookupFailed(
                f"The subnets {groups[0][0].name!a} and {group[0].name!a} of the VPC that the app looks up are not in "
                "the same availability zones.",
                "Look it up with a newer aws-cdk-lib, which copes with that.",
            )
    answer: dict[str, Any] = {"availabilityZones": zones}
    for kind in _TYPES:
        of_kind = [group for group in groups if group[0].type == kind]
        members = [one for group in of_kind for one in group]
        if members:
            answer[f"{kind.lower()}SubnetIds"] = [one.id for one in members]
            answer[f"{kind.lower()}SubnetNames"] = [group[0].name for group in of_kind]
            answer[f"{kind.lower()}SubnetRouteTableIds"] = [one.route_table for one in members]
    return answer


def asymmetric_groups(subnets: Sequence[Subnet]) -> list[dict[str, Any]]:
    """Return CDK's present shape: each group with its own zones."""
    return [
        {
            "name": group[0].name,
            "type": group[0].type,
            "subnets": [
                {
                    "subnetId": one.id,
                    "cidr": one.cidr,
                    "availabilityZone": one.zone,
                    "routeTableId": one.route_table,
                }
                for one in group
            ],
        }
        for group in _groups(subnets)
    ]


def _groups(subnets: Sequence[Subnet]) -> list[list[Subnet]]:
    """Return the subnets of one type and name together, in order of their zones; groups in the order of their first."""
    place: Callable[[Subnet], tuple[str, str]] = lambda one: (one.type, one.name)  # noqa: E731
    firsts = {key: number for number, key in reversed(list(enumerate(map(place, subnets))))}
    ordered = sorted(subnets, key=lambda one: (firsts[place(one)], one.zone))
    return [list(group) for _, group in groupby(ordered, key=place)]
