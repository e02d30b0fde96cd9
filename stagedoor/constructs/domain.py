"""A domain of one's own for an API or a site, as users say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import Stack, Token
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_route53 as route53
from constructs import Construct

from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.words import check_words

EDGE_REGION = "us-east-1"
"""Where CloudFront wants its certificates
(https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cnames-and-https-requirements.html)."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain: its certificate, and the hosted zone that its records are in; None where somebody else keeps them."""

    name: str
    certificate: acm.ICertificate
    zone: route53.IHostedZone | None


def domain_from(scope: Construct, said: object, *, edge: bool) -> Domain:
    """Return a domain of a user's words: `{"name": …, "zone": …, "certificate": …}`.

    `zone` is a hosted zone's name, which is looked up, or one of aws-cdk-lib; `certificate` an ARN, or one of
    aws-cdk-lib. With a zone and no certificate one is made, and proves itself by a record. `edge` is for CloudFront,
    whose certificates are in us-east-1. Raises `ConstructError`.
    """
    where = scope.node.path
    if not isinstance(said, Mapping):
        raise ConstructError(
            f"A domain is not {said!r}.", "Write {'name': 'api.example.com', 'zone': 'example.com'}.", where
        )
    check_words(said, ("name", "zone", "certificate"), "A domain", where)
    if "name" not in said or not (said.get("zone") or said.get("certificate")):
        raise ConstructError(
            "A domain needs its name, and a hosted zone or a certificate.",
            "Write {'name': 'api.example.com', 'zone': 'example.com'}, or a certificate's ARN in place of the zone.",
            where,
        )
    name = str(said["name"])
    zone = _zone(scope, said.get("zone"))
    return Domain(name, _certificate(scope, name, zone, said.get("certificate"), edge), zone)


def point_at(scope: Construct, domain: Domain, target: route53.IAliasRecordTarget) -> None:
    """Write the domain's records, where its zone is ours to write in."""
    if domain.zone is None:
        return
    said: dict[str, Any] = {
        "zone": domain.zone,
        "record_name": domain.name,
        "target": route53.RecordTarget.from_alias(target),
    }
    route53.ARecord(scope, "Record", **said)
    route53.AaaaRecord(scope, "RecordV6", **said)


def _zone(scope: Construct, said: object) -> route53.IHostedZone | None:
    if said is None:
        return None
    if isinstance(said, str):
        return route53.HostedZone.from_lookup(scope, "Zone", domain_name=said)
    if is_a(said, "aws_route53", "IHostedZone"):
        return cast(route53.IHostedZone, said)
    raise ConstructError(
        f"{type(said).__name__} is no hosted zone.", "Write its name, or one of aws_route53.", scope.node.path
    )


def _certificate(
    scope: Construct, name: str, zone: route53.IHostedZone | None, said: object, edge: bool
) -> acm.ICertificate:
    if isinstance(said, str):
        return acm.Certificate.from_certificate_arn(scope, "Certificate", said)
    if said is not None:
        return cast(acm.ICertificate, said)
    region = Stack.of(scope).region
    if edge and (Token.is_unresolved(region) or region != EDGE_REGION):
        raise ConstructError(
            f"A site's certificate is to be in {EDGE_REGION}, and this stack is not known to be.",
            f"Make one in a stack with env=Environment(region='{EDGE_REGION}'), and give its ARN: certificate='arn:…'.",
            scope.node.path,
        )
    return acm.Certificate(scope, "Certificate", domain_name=name, validation=acm.CertificateValidation.from_dns(zone))
