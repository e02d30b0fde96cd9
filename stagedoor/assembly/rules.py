"""What the operator of a target lets assemblies hold.

Rules are the second line. The first is the target's execution role and its permissions boundary: what they forbid
cannot be done by any way round. What is forbidden here is said before anything is published.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AssemblyRules:
    """What an operator lets assemblies hold.

    `denied_types` are shell patterns of resource types (`AWS::IAM::User`, `AWS::Organizations::*`);
    `allowed_transforms` are names of macros, or None for any.
    """

    denied_types: tuple[str, ...] = ()
    allowed_transforms: tuple[str, ...] | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether a template that cannot be seen might hold what is not allowed."""
        return bool(self.denied_types) or self.allowed_transforms is not None


NO_RULES = AssemblyRules()
"""Of a person who deploys with credentials of their own: they may do whatever those credentials may do. And of a
production target of a service, whose code was reviewed."""

STANDING_ACCESS = (
    "AWS::IAM::AccessKey",
    "AWS::IAM::Group",
    "AWS::IAM::GroupPolicy",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::SAMLProvider",
    "AWS::IAM::ServerCertificate",
    "AWS::IAM::User",
    "AWS::IAM::UserPolicy",
    "AWS::IAM::UserToGroupAddition",
    "AWS::IAM::VirtualMFADevice",
    "AWS::IdentityStore::*",
    "AWS::RolesAnywhere::*",
    "AWS::SSO::*",
)
"""Users, keys and identity providers: ways in that serve whoever holds them, wherever they are."""

BEYOND_THE_STAGE = (
    "AWS::CloudFormation::*Hook*",
    "AWS::CloudFormation::Macro",
    "AWS::CloudFormation::Module*",
    "AWS::CloudFormation::PublicTypeVersion",
    "AWS::CloudFormation::Publisher",
    "AWS::CloudFormation::Resource*",
    "AWS::CloudFormation::StackSet",
    "AWS::CloudFormation::TypeActivation",
    "AWS::ControlTower::*",
    "AWS::Organizations::*",
    "AWS::RAM::*",
    "AWS::Serverless::Application",
    "AWS::ServiceCatalog::*",
    "*::MODULE",
)
"""What acts on other stacks or accounts, and what is replaced by resources that are in no template that we see."""

PREVIEW_RULES = AssemblyRules(
    denied_types=(*STANDING_ACCESS, *BEYOND_THE_STAGE),
    allowed_transforms=("AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"),
)
"""Of a preview target of a service, unless its operator says otherwise: nothing that lets somebody in when the preview
is gone, and nothing that changes what other stacks do or that hides resources from us, as a module does."""
