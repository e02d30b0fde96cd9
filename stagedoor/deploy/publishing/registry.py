"""The target's registry for container images: what is in it, and how an image gets there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stagedoor.assembly.model import DockerImageAsset
from stagedoor.assembly.target_names import url_suffix
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.publishing.docker import Docker, ImagePushFailed, Say
from stagedoor.deploy.publishing.images import build_arguments, image_name
from stagedoor.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient


class NoImageRepository(UserError):
    """The target's bootstrap has no repository for images."""

    id = "no-image-repository"


@dataclass(frozen=True, slots=True)
class ImageRegistry:
    """Amazon ECR as the publishing identity sees it
    (https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html).
    """

    clients: Clients

    def holds(self, image: DockerImageAsset) -> bool:
        """Whether the image's tag is in its repository. Raises `NoImageRepository`."""
        ecr = self._ecr
        try:
            found = ecr.describe_images(
                registryId=self.clients.target.account,
                repositoryName=image.repository,
                imageIds=[{"imageTag": image.tag}],
            )
        except ecr.exceptions.ImageNotFoundException:
            return False
        except ecr.exceptions.RepositoryNotFoundException:
            raise NoImageRepository(
                f"Account {self.clients.target.account} has no repository {image.repository!a} for container images.",
                f"Make one: `aws ecr create-repository --repository-name {image.repository}`.",
            ) from None
        return bool(found["imageDetails"])

    def publish(self, image: DockerImageAsset, docker: Docker, say: Say, doing: Callable[[str], None]) -> None:
        """Build an image and push it. `doing` is told which of the two goes on.

        The build knows nothing of the credentials, which are fetched when it is over.
        """
        target = self.clients.target
        registry = f"{target.account}.dkr.ecr.{target.region}.{url_suffix(target)}"
        name = f"{registry}/{image.repository}:{image.tag}"
        doing("building")
        docker.build(image_name(image), build_arguments(image, target.image_builds), name, say)
        doing("pushing")
        token = self._ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.clients.ask_before_change()
        try:
            docker.push(name, token, say)
        except ImagePushFailed:
            if not self.holds(image):  # else another pushed it meanwhile, and tags may be immutable
                raise

    @property
    def _ecr(self) -> "ECRClient":
        return self.clients.client("ecr", Phase.PUBLISH)
