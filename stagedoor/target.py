"""Where a stage may live: an account, a region, the roles and limits that its operator set.

A target is never chosen by a repository's code: operators grant it (see `service.models.Grant`), or the person at the
command line is its operator.
"""

from dataclasses import dataclass
from enum import StrEnum


class Trust(StrEnum):
    """The line that nothing shared crosses: caches of dependencies, synth results and assets belong to one side."""

    PREVIEW = "preview"
    PRODUCTION = "production"


class ImageBuilds(StrEnum):
    """Whether an assembly's Dockerfiles are run by whoever publishes it, and with what."""

    REFUSED = "refused"
    CONFINED = "confined"  # with nothing of this machine or its registries: no secrets, SSH agent, host network, caches
    TRUSTED = "trusted"  # with all that they ask for: whoever deploys is their author


@dataclass(frozen=True, slots=True)
class Target:
    """An AWS account and region with the identities that each phase uses there.

    Roles are ARNs; without one, the process's own credentials serve. `execution_role` is the one that CloudFormation
    itself assumes (`RoleARN`), so what a template may do is bounded by it and by `permissions_boundary`. `image_builds`
    holds for the machine that publishes, since building an image runs a program there. The endpoint is not part of a
    target: boto3 reads `AWS_ENDPOINT_URL` by itself.
    """

    name: str
    account: str
    region: str
    partition: str = "aws"
    trust: Trust = Trust.PREVIEW
    qualifier: str = "hnb659fds"
    deploy_role: str | None = None
    execution_role: str | None = None
    publish_role: str | None = None
    lookup_role: str | None = None
    external_id: str | None = None
    permissions_boundary: str | None = None
    image_builds: ImageBuilds = ImageBuilds.REFUSED
