"""What kind of subnet is which, and how CDK is told; the values are those of EC2's answers."""

from typing import Any

import pytest

from stagedoor.synth.context.providers import LookupFailed
from stagedoor.synth.context.vpc import RouteTables, Subnet, asymmetric_groups, subnet, symmetric_groups

IGW = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1"}
TRANSIT = {"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1"}
NEAR = {"DestinationCidrBlock": "10.0.0.0/8", "NatGatewayId": "nat-1"}


def table(name: str, *routes: dict[str, str], of: str | None = None) -> dict[str, Any]:
    association = {"SubnetId": of} if of else {"Main": True}
    return {"RouteTableId": name, "Routes": list(routes), "Associations": [association]}


def raw(name: str = "subnet-1", tags: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    listed = [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
    return {"SubnetId": name, "AvailabilityZone": "a", "CidrBlock": "10.0.0.0/24", "Tags": listed, **more}


@pytest.mark.parametrize(
    ("route", "kind"), [(IGW, "Public"), (NAT, "Private"), (TRANSIT, "Private"), (NEAR, "Isolated"), ({}, "Isolated")]
)
def test_a_subnet_is_what_its_routes_make_it(route: dict[str, str], kind: str) -> None:
    routes = RouteTables([table("main"), table("own", route, of="subnet-1")])
    assert subnet(raw(), routes) == Subnet("subnet-1", "a", "10.0.0.0/24", kind, kind, "own")


def test_a_subnet_without_a_table_of_its_own_has_the_main_one() -> None:
    routes = RouteTables([table("own", of="other"), table("main", IGW)])
    assert (subnet(raw(), routes).type, subnet(raw(), routes).route_table) == ("Public", "main")


def test_tags_come_before_routes_and_addresses() -> None:
    routes = RouteTables([table("main", IGW)])
    tags = {"aws-cdk:subnet-type": "Isolated", "aws-cdk:subnet-name": "data", "group": "web"}
    assert (subnet(raw(tags=tags), routes).type, subnet(raw(tags=tags), routes).name) == ("Isolated", "data")
    assert subnet(raw(tags=tags), routes, "group").name == "web"
    assert subnet(raw(MapPublicIpOnLaunch=True), RouteTables([table("main")])).type == "Public"


@pytest.mark.parametrize(
    ("given", "tables", "tag", "what"),
    [
        (raw(tags={"aws-cdk:subnet-type": "Deprecated"}), [table("main")], None, "the type 'Deprecated'"),
        (raw(), [table("main")], "group", "no tag 'group'"),
        (raw(), [], None, "no route table"),
    ],
)
def test_a_subnet_that_cdk_would_not_understand(given: Any, tables: Any, tag: str | None, what: str) -> None:
    with pytest.raises(LookupFailed, match=what):
        subnet(given, RouteTables(tables), tag)


def of(zone: str, kind: str, name: str) -> Subnet:
    return Subnet(f"{name}-{zone}", zone, "10.0.0.0/24", kind, name, f"table-{name}-{zone}")


def test_the_older_shape() -> None:
    subnets = [of("b", "Public", "web"), of("a", "Public", "web"), of("b", "Private", "app"), of("a", "Private", "app")]
    assert symmetric_groups(subnets) == {
        "availabilityZones": ["a", "b"],
        "privateSubnetIds": ["app-a", "app-b"],
        "privateSubnetNames": ["app"],
        "privateSubnetRouteTableIds": ["table-app-a", "table-app-b"],
        "publicSubnetIds": ["web-a", "web-b"],
        "publicSubnetNames": ["web"],
        "publicSubnetRouteTableIds": ["table-web-a", "table-web-b"],
    }
    with pytest.raises(LookupFailed, match="not in the same availability zones"):
        symmetric_groups(subnets[:3])
    assert symmetric_groups([]) == {"availabilityZones": []}


def test_the_present_shape_lets_each_group_have_its_own_zones() -> None:
    groups = asymmetric_groups([of("b", "Public", "web"), of("a", "Private", "app"), of("a", "Public", "web")])
    assert [(group["name"], group["type"]) for group in groups] == [("web", "Public"), ("app", "Private")]
    assert [each["availabilityZone"] for each in groups[0]["subnets"]] == ["a", "b"]
