"""Load balancers and their listeners, by ARN or by tags, as aws-cdk-lib expects them in its context.

Source: `context-providers/load-balancers.ts` of `toolkit-lib` in https://github.com/aws/aws-cdk-cli (2026-08).
"""

from typing import Any

from stagedoor.synth.context.providers import CORRECT, ClientOf, NothingFound, pages, the_only
from stagedoor.synth.context.query import Query

_TAGGED_AT_ONCE = 20
"""DescribeTags takes so many (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html)."""


def load_balancer(client: ClientOf, query: Query) -> dict[str, Any]:
    """Return the one load balancer that fits."""
    if not query.optional_text("loadBalancerArn") and not query.properties.get("loadBalancerTags"):
        raise query.invalid("loadBalancerArn or loadBalancerTags is needed")
    found = the_only(_balancers(client("elbv2"), query), _named(query))
    return {
        "loadBalancerArn": found["LoadBalancerArn"],
        "loadBalancerCanonicalHostedZoneId": found.get("CanonicalHostedZoneId", ""),
        "loadBalancerDnsName": found["DNSName"],
        "vpcId": found["VpcId"],
        "securityGroupIds": found.get("SecurityGroups", []),
        "ipAddressType": "ipv4" if found.get("IpAddressType") == "ipv4" else "dualstack",
    }


def load_balancer_listener(client: ClientOf, query: Query) -> dict[str, Any]:
    """Return the one listener that fits, with the security groups of its load balancer."""
    elbv2 = client("elbv2")
    arn = query.optional_text("listenerArn")
    if arn is not None:
        listeners = elbv2.describe_listeners(ListenerArns=[arn])["Listeners"]
        listener = the_only(listeners, f"listener {arn!a}")
        balancers = _balancers(elbv2, query, listener["LoadBalancerArn"])
        return _listener(listener, the_only(balancers, f"load balancer of the listener {arn!a}"))
    if not query.optional_text("loadBalancerArn") and not query.properties.get("loadBalancerTags"):
        raise query.invalid("listenerArn, loadBalancerArn or loadBalancerTags is needed")
    by_arn = {balancer["LoadBalancerArn"]: balancer for balancer in _balancers(elbv2, query)}
    if not by_arn:
        raise NothingFound(f"There is no {_named(query)} in the target.", CORRECT)
    port, protocol = query.properties.get("listenerPort"), query.optional_text("listenerProtocol")
    listeners = [
        listener
        for balancer in by_arn
        for listener in pages(elbv2, "describe_listeners", LoadBalancerArn=balancer)
        if port in (None, listener.get("Port")) and protocol in (None, listener.get("Protocol"))
    ]
    listener = the_only(listeners, f"listener {query.key[:300]!a}")
    return _listener(listener, by_arn[listener["LoadBalancerArn"]])


def _listener(listener: dict[str, Any], balancer: dict[str, Any]) -> dict[str, Any]:
    return {
        "listenerArn": listener["ListenerArn"],
        "listenerPort": listener["Port"],
        "securityGroupIds": balancer.get("SecurityGroups", []),
    }


def _balancers(elbv2: Any, query: Query, arn: str | None = None) -> list[dict[str, Any]]:
    """Return the load balancers of the wanted type, ARN and tags."""
    arn = arn or query.optional_text("loadBalancerArn")
    found = list(pages(elbv2, "describe_load_balancers", **({"LoadBalancerArns": [arn]} if arn else {})))
    found = [balancer for balancer in found if balancer.get("Type") == query.text("loadBalancerType")]
    wanted = _wanted_tags(query)
    if not wanted:
        return found
    arns, tagged = [balancer["LoadBalancerArn"] for balancer in found], set()
    for start in range(0, len(arns), _TAGGED_AT_ONCE):
        for description in elbv2.describe_tags(ResourceArns=arns[start : start + _TAGGED_AT_ONCE])["TagDescriptions"]:
            if wanted <= {(tag["Key"], tag.get("Value")) for tag in description.get("Tags", [])}:
                tagged.add(description["ResourceArn"])
    return [balancer for balancer in found if balancer["LoadBalancerArn"] in tagged]


def _wanted_tags(query: Query) -> set[tuple[str, str]]:
    tags = query.properties.get("loadBalancerTags") or []
    wanted = set()
    for tag in tags if isinstance(tags, list) else [tags]:
        match tag:
            case {"key": str(key), "value": str(value)}:
                wanted.add((key, value))
            case _:
                raise query.invalid("loadBalancerTags holds what is no tag")
    return wanted


def _named(query: Query) -> str:
    return f"load balancer {query.optional_text('loadBalancerArn') or query.key[:300]!a}"
