"""Templates that are too long to be sent with a call: they go by the target's bucket, as assets do."""

import hashlib

from stagedoor.assembly.model import FileAsset, Packaging, Stack
from stagedoor.assembly.target_names import assets_bucket, url_suffix
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.target import Target

TEMPLATE_BODY_LIMIT = 51_200
"""Bytes of a template that a call may hold; longer ones go by S3
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html)."""


def is_long(stack: Stack) -> bool:
    """Whether a stack's template is too long to be sent with a call."""
    return stack.template_path.stat().st_size > TEMPLATE_BODY_LIMIT


def template_asset(stack: Stack, target: Target) -> FileAsset:
    """Return a stack's own template as an asset of the target's bucket."""
    digest = hashlib.sha256(stack.template_path.read_bytes()).hexdigest()
    return FileAsset(
        claimed_hash=digest,
        source=stack.template_path,
        packaging=Packaging.FILE,
        bucket=assets_bucket(target),
        key=f"{target.trust}/{digest}.template.json",
        display_name=f"{stack.own_name}.template.json",
        is_template=True,
    )


def object_url(clients: Clients, asset: FileAsset) -> str:
    """Return where CloudFormation reads an asset; behind an endpoint of one's own, the endpoint's address."""
    endpoint = clients.client("s3", Phase.PUBLISH).meta.endpoint_url
    target = clients.target
    if "amazonaws.com" in endpoint:
        return f"https://{asset.bucket}.s3.{target.region}.{url_suffix(target)}/{asset.key}"
    return f"{endpoint}/{asset.bucket}/{asset.key}"
