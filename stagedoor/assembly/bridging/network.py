"""Whether a function in a VPC can reach the relay: whether its subnets' routes lead out.

A function has no public address in a VPC, so an internet gateway alone is no way out for it: it takes a NAT gateway, or
something that leads to one elsewhere.
Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
"""

from typing import Any

from stagedoor.assembly.bridging.places import Place, Places, Where
from stagedoor.assembly.expressions import Unresolved, evaluate
from stagedoor.assembly.template import properties_of

CANNOT_TELL = "Whether its VPC has a way out to the relay cannot be told; where it has none, the deployed code answers."

_SUBNET = "AWS::EC2::Subnet"
_EVERYWHERE = "0.0.0.0/0"
_WAYS = frozenset(
    {
        "CarrierGatewayId",
        "CoreNetworkArn",
        "InstanceId",
        "LocalGatewayId",
        "NatGatewayId",
        "NetworkInterfaceId",
        "TransitGatewayId",
        "VpcEndpointId",
        "VpcPeeringConnectionId",
    }
)
"""Properties of a route by which a function's packets can get out, as far as the template tells."""


def shut_in(places: Places, function: Place) -> str:
    """Return the logical id of a subnet of the function's that has no way out; empty where each has one, where it
    cannot be told (see `cannot_tell`), and for a function that is in no VPC.
    """
    for subnet in _subnets(places, function) or ():
        if subnet is not None and _leads_out(places, subnet) is False:
            return subnet.logical_id
    return ""


def cannot_tell(places: Places, function: Place) -> bool:
    """Whether the function is in a VPC whose routes are not, or not all, in the stage's templates."""
    subnets = _subnets(places, function)
    if subnets is None:
        return False
    return not subnets or any(subnet is None or _leads_out(places, subnet) is None for subnet in subnets)


def _subnets(places: Places, function: Place) -> list[Place | None] | None:
    """Return the function's subnets, None for one that is not the app's; none at all where it is in no VPC."""
    config = properties_of(places.resource(function)).get("VpcConfig")
    if not isinstance(config, dict) or config.get("SubnetIds", []) == []:
        return None
    listed = config["SubnetIds"]
    # Over IPv6 there are other ways out, which are not followed here.
    if not isinstance(listed, list) or config.get("Ipv6AllowedForDualStack"):
        return []
    return [_subnet(places, expression, function.where) for expression in listed]


def _subnet(places: Places, expression: Any, where: Where) -> Place | None:
    place = places.follow(expression, where)
    return place if place and places.resource(place).get("Type") == _SUBNET else None


def _leads_out(places: Places, subnet: Place) -> bool | None:
    """Return whether a subnet's own route table leads out; None where it has the VPC's main one, which others keep."""
    tables = {
        table
        for place, one in places.of_type("AWS::EC2::SubnetRouteTableAssociation")
        if places.follow(properties_of(one).get("SubnetId"), place.where) == subnet
        for table in [places.follow(properties_of(one).get("RouteTableId"), place.where)]
    }
    if not tables or None in tables:
        return None
    routes = [
        (place, properties_of(one))
        for place, one in places.of_type("AWS::EC2::Route")
        if places.follow(properties_of(one).get("RouteTableId"), place.where) in tables
    ]
    return any(_is_way(places, place, route) for place, route in routes)


def _is_way(places: Places, place: Place, route: dict[str, Any]) -> bool:
    destination = evaluate(route.get("DestinationCidrBlock", ""), places.scope(place.where))
    if isinstance(destination, Unresolved):
        destination = _EVERYWHERE
    if destination != _EVERYWHERE and "DestinationPrefixListId" not in route:
        return False
    gateway = places.follow(route.get("GatewayId"), place.where)
    is_private = gateway is not None and places.resource(gateway).get("Type") == "AWS::EC2::VPNGateway"
    return is_private or bool(_WAYS & route.keys())
