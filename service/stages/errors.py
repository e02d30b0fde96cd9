"""What people ask of stages and cannot have, each with the words in which everybody is told."""

from stagedoor.errors import UserError


class StageProtected(UserError):
    """A stage that nobody's request removes."""

    id = "stage-protected"


class InvalidCommit(UserError):
    """What was asked for is no commit's whole id."""

    id = "invalid-commit"


class CommitNotApproved(UserError):
    """A commit of a fork that no maintainer has spoken for."""

    id = "commit-not-approved"


class RunGoesOn(UserError):
    """A run that has not ended cannot be tried again."""

    id = "run-goes-on"


class RunOutdated(UserError):
    """A run of something that is not wanted any more cannot be tried again."""

    id = "run-outdated"


class RemovalGoesOn(UserError):
    """A removal cannot be cancelled: CloudFormation does not stop deleting."""

    id = "removal-goes-on"


class NoAssembly(UserError):
    """A run whose assembly is not there to be deployed again."""

    id = "assembly-not-kept"


class PromotionRefused(UserError):
    """An assembly that must not be deployed to this stage: of another app or trust level, or made for another stage."""

    id = "promotion-refused"


class RunOfOtherStage(UserError):
    """A stage is rolled back to its own runs only."""

    id = "run-of-other-stage"


class TooManyPlans(UserError):
    """A stage for which more plans wait to be made than are good for anybody."""

    id = "too-many-plans"


class LookupNotMerged(UserError):
    """Code that nobody has merged has nothing looked up in the account of a stage that is to last."""

    id = "lookup-not-merged"


class DiffByWorkflow(UserError):
    """A pull request's commit cannot be compared with another stage where a workflow makes the assemblies."""

    id = "diff-by-workflow"
