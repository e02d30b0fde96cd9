"""Names of stages and of what belongs to them.

Sources: stack names are at most 128 characters of `[A-Za-z][A-Za-z0-9-]*`
(https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html).
"""

import hashlib
import re
from dataclasses import dataclass

from stagedoor.errors import UserError

STAGE_NAME = re.compile(r"^[a-z][a-z0-9-]{0,39}$")
"""As JSON Schema has it. In Python `$` is before a last line break, too: only `fullmatch` holds a name to this."""

STACK_NAME_LIMIT = 128
PREFIX_LIMIT = 64
LASTING = frozenset({"prod", "production", "staging", "main", "master"})
"""First words of the names of stages that are to last; `prod-eu` is one, `dev` and `products` are not."""

BINDING_OUTPUT = "StagedoorBinding"
"""What the logical ids of those outputs begin with that are for `stagedoor.runtime`, and for nobody to read."""
_DIGEST_LENGTH = 6


class InvalidStageName(UserError):
    """A stage's name that cannot become part of a stack's name."""

    id = "invalid-stage-name"


class StackNameTooLong(UserError):
    """The prefix and the app's own stack name together are longer than CloudFormation allows."""

    id = "stack-name-too-long"


@dataclass(frozen=True, slots=True)
class StageIdentity:
    """What a stage is, once and for all: the parts that its stacks' names and tags are made of.

    `repository` and `service` are ids, not names, since names change: the repository's id on its GitHub host and the
    deployment service's own id. Without a service, both say who deployed instead (`local`).
    `disposable` stages (previews, personal ones) take their retained data with them when they are removed.

    A stage that was adopted has no `prefix`: its stacks, exports and everything else keep the names that the app gave
    them. `adopting` are the ARNs of stacks without an owner that a person has told this deploy to take over.
    """

    app: str
    stage: str
    prefix: str
    repository: str
    service: str
    disposable: bool = True
    adopting: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what would delete, with a stage, data that it only took over."""
        if self.adopted and self.disposable:
            raise ValueError("a stage that has no prefix of its own is to last")

    @property
    def adopted(self) -> bool:
        """Whether the stage has the stacks under the names that the app gave them."""
        return not self.prefix

    def tags(self) -> dict[str, str]:
        """Return the tags of every stack of the stage; they never change, as a changed tag changes every resource."""
        return {
            "stagedoor:app": self.app,
            "stagedoor:stage": self.stage,
            "stagedoor:repository": self.repository,
            "stagedoor:service": self.service,
        }

    def stack_name(self, own_name: str) -> str:
        """Return the name of the stage's copy of the stack that the app itself calls `own_name`."""
        name = own_name if self.adopted else f"{self.prefix}-{own_name}"
        if len(name) > STACK_NAME_LIMIT:
            raise StackNameTooLong(
                f"The stack {own_name!r} would be called {name!r}, which is longer than {STACK_NAME_LIMIT} characters.",
                f"Give the stack a name of at most {STACK_NAME_LIMIT - len(self.prefix) - 1} characters.",
            )
        return name


def check_stage_name(name: str) -> str:
    """Return `name` if it may name a stage, else raise `InvalidStageName`."""
    if not STAGE_NAME.fullmatch(name):
        raise InvalidStageName(
            f"{name!r} cannot name a stage.",
            "Use at most 40 lower-case letters, digits and hyphens, beginning with a letter.",
        )
    return name


def is_lasting(stage: str) -> bool:
    """Whether a stage keeps the data that its app says to keep, and is removed only by whoever types its name."""
    return stage.split("-", 1)[0] in LASTING


def parameter_folder(app: str, repository: str) -> str:
    """Return where secrets and parameters of an app's stages are in the parameter store: `/stagedoor/<app>-<digest>`.

    A stage's are in the folder of its name in there, what all stages fall back on in `_fallback`, which names no stage.
    The digest keeps an app of another repository out that is called the same.
    """
    return f"/stagedoor/{app_name(app)}-{_digest(f'{repository}/{app}')}"


def app_name(place: str) -> str:
    """Return how an app is called that nothing names: after its repository or folder, with hyphens where need be."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")
    if not name[:1].isalpha():
        name = f"app-{name}"
    return name[:40].strip("-")


def stage_name_for_pull_request(number: int) -> str:
    """Return the stage of a pull request: `pr-<number>`."""
    return f"pr-{number}"


def stage_name_for_branch(branch: str) -> str:
    """Return a stage name for a branch; where the name had to be bent, a short digest of the branch keeps it unique."""
    slug = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"b-{slug}".rstrip("-")
    if slug == branch and STAGE_NAME.fullmatch(slug) and not re.fullmatch(r"pr-\d+", slug):
        return slug
    return f"{slug[: 40 - _DIGEST_LENGTH - 1].rstrip('-')}-{_digest(branch)}"


def stack_prefix(app: str, stage: str, repository: str) -> str:
    """Return the prefix for a stage's stacks: app, stage and a short digest that parts equal apps of two repositories.

    Frozen in the stage's row when the stage is born; a repository that is renamed or transferred keeps it.
    """
    slug = re.sub(r"[^A-Za-z0-9]+", "-", app).strip("-") or "app"
    if not slug[0].isalpha():
        slug = f"a-{slug}"
    digest = _digest(f"{repository}/{app}")
    room = PREFIX_LIMIT - len(stage) - len(digest) - 2
    return f"{slug[:room].rstrip('-')}-{stage}-{digest}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
