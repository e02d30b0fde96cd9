"""What an operator wants, from `cdk.json`'s context and the file `targets.toml` beside it."""

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from constructs import Construct

from stagedoor.errors import UserError

TARGETS_FILE = Path(__file__).with_name("targets.toml")
_ARN = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@/-]+\Z")
_ROLES = ("deploy_role", "publish_role", "lookup_role")


class InvalidWish(UserError):
    """The context does not say what the variant needs."""

    id = "invalid-infra-context"


class Variant(StrEnum):
    """Which stacks there are."""

    STANDARD = "standard"
    SINGLE = "single"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted. Empty text: nothing.

    `image_repository` and `image_tag` name the service's image in the account's ECR; `domain` and `certificate` (an
    ARN of ACM, in the service's region) are where people and GitHub find it, of the variant `standard`. `targets` is
    the operator's file of targets (docs/operating.md). `github_api_url` and `github_web_url` are a GitHub Enterprise
    Server's.

    Of the variant `target`: `principal` is the ARN of the service's role, or, without a service, `github` with the
    `repositories` (OWNER/NAME) whose workflows may deploy; `external_id` is what the service says when it comes;
    `trust` is `preview` or `production`.
    """

    variant: Variant
    image_repository: str = "stagedoor"
    image_tag: str = ""
    domain: str = ""
    certificate: str = ""
    targets: str = ""
    github_api_url: str = ""
    github_web_url: str = ""
    principal: str = ""
    external_id: str = ""
    trust: str = "preview"
    repositories: tuple[str, ...] = ()
    qualifier: str = "hnb659fds"

    @classmethod
    def of(cls, scope: Construct, targets_file: Path = TARGETS_FILE) -> "Wishes":
        """Return what the context says; raises `InvalidWish`."""

        def said(name: str, default: str = "") -> str:
            return str(scope.node.try_get_context(name) or default)

        targets = targets_file.read_text() if targets_file.is_file() else ""
        made = cls(
            Variant(said("variant", "single")),
            image_repository=said("image_repository", "stagedoor"),
            image_tag=said("image_tag"),
            domain=said("domain"),
            certificate=said("certificate"),
            targets=targets,
            github_api_url=said("github_api_url"),
            github_web_url=said("github_web_url"),
            principal=said("principal"),
            external_id=said("external_id"),
            trust=said("trust", "preview"),
            repositories=tuple(said("repositories").replace(",", " ").split()),
            qualifier=said("qualifier", "hnb659fds"),
        )
        made.check()
        return made

    def check(self) -> None:
        """Raise `InvalidWish` with the first thing that is missing."""
        if self.variant is Variant.TARGET:
            self._check_target()
            return
        if not self.image_tag:
            raise InvalidWish("No image is named.", "Put image_tag into infra/cdk.json: a tag, or sha256:…")
        if self.variant is Variant.STANDARD and not (self.domain and self.certificate):
            raise InvalidWish(
                "The variant `standard` needs a domain and a certificate for it.",
                "Put domain and certificate (an ARN of ACM) into infra/cdk.json, or choose the variant `single`.",
            )

    def _check_target(self) -> None:
        if self.principal == "github" and not self.repositories:
            raise InvalidWish("No repository may deploy.", "Put repositories (OWNER/NAME …) into infra/cdk.json.")
        if self.principal != "github" and not _ARN.match(self.principal):
            raise InvalidWish(
                "Nobody may assume the target's roles.",
                "Put principal into infra/cdk.json: the ARN of the service's worker role, or `github`.",
            )
        if self.principal != "github" and len(self.external_id) < 16:
            raise InvalidWish(
                "The external id is missing or shorter than 16 characters.",
                "Put external_id into infra/cdk.json; `openssl rand -hex 16` makes one. It is in targets.toml, too.",
            )

    @property
    def target_roles(self) -> list[str]:
        """The roles that the service is to assume, of all targets."""
        declared = tomllib.loads(self.targets).get("targets", {})
        return sorted({target[role] for target in declared.values() for role in _ROLES if role in target})

    @property
    def github(self) -> dict[str, str]:
        """The settings of a GitHub Enterprise Server; none for github.com."""
        said = {"STAGEDOOR_GITHUB_API_URL": self.github_api_url, "STAGEDOOR_GITHUB_WEB_URL": self.github_web_url}
        return {name: value for name, value in said.items() if value}
