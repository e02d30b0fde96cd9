"""The variant `target`: what an account needs that stages live in. One stack in each account and region.

Its outputs are what `targets.toml` says of the target. docs/operating.md says what each role is for,
docs/permissions.md why each permission is needed.
"""

from typing import Any

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam

from infra.exceptions import accept, accept_wildcards
from infra.wishes import Wishes
from stagedoor.constructs import App, Stack

GITHUB_ISSUER = "token.actions.githubusercontent.com"

STACKS = (
    *("cloudformation:CreateStack", "cloudformation:UpdateStack", "cloudformation:DeleteStack"),
    *("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet", "cloudformation:DeleteChangeSet"),
    *("cloudformation:CancelUpdateStack", "cloudformation:ContinueUpdateRollback"),
    *("cloudformation:UpdateTerminationProtection", "cloudformation:TagResource", "cloudformation:UntagResource"),
    *("cloudformation:DescribeStacks", "cloudformation:DescribeStackEvents", "cloudformation:DescribeEvents"),
    *("cloudformation:DescribeStackResource", "cloudformation:DescribeStackResources"),
    *("cloudformation:ListStackResources", "cloudformation:DescribeChangeSet", "cloudformation:ListChangeSets"),
    *("cloudformation:GetTemplate", "cloudformation:GetTemplateSummary", "cloudformation:GetStackPolicy"),
)
WITHOUT_RESOURCE = (
    *("cloudformation:ListStacks", "cloudformation:ListExports", "cloudformation:ListImports"),
    *("cloudformation:DescribeType", "cloudformation:ValidateTemplate", "cloudformation:DescribeStacks"),
)
"""What AWS takes no resource for, or what lists them all
(https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudformation.html)."""
HOTSWAP = (
    *("lambda:GetFunctionConfiguration", "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration"),
    *("lambda:PublishVersion", "lambda:GetAlias", "lambda:UpdateAlias", "lambda:ListVersionsByFunction"),
    *("lambda:DeleteFunction", "lambda:GetLayerVersion"),
)
REMOVAL = {
    "s3": ("s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"),
    "ecr": ("ecr:ListImages", "ecr:BatchDeleteImage", "ecr:DeleteRepository"),
    "logs": ("logs:DeleteLogGroup",),
}
ASSETS = ("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
IMAGES = (
    *("ecr:DescribeImages", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload"),
    *("ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage"),
)
"""Pushing, as AWS has it (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html), and looking."""
LOOKUPS = (
    *("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeRouteTables", "ec2:DescribeVpnGateways"),
    *("ec2:DescribeAvailabilityZones", "ec2:DescribeImages", "ec2:DescribeSecurityGroups"),
    *("ec2:DescribeVpcEndpointServices", "route53:ListHostedZonesByName", "route53:GetHostedZone", "kms:ListAliases"),
    *("elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeListeners"),
    *("elasticloadbalancing:DescribeTags",),
)
BOUNDED = (
    *("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:DeleteRolePolicy"),
    "iam:PutRolePermissionsBoundary",
)
"""What the execution role may do with roles that have the boundary alone, so that a template adds to no other. The
engine puts it on each role of a stage (stagedoor/assembly/boundary.py)."""
UNBOUNDED = (
    *("iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies"),
    *("iam:TagRole", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateRoleDescription", "iam:UpdateAssumeRolePolicy"),
    *("iam:PassRole", "iam:CreateServiceLinkedRole"),
)
"""What IAM cannot limit to such roles
(https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html).
CloudFormation changes a description by `UpdateRoleDescription`
(https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1923)."""
NEVER = (
    *("iam:*", "organizations:*", "account:*", "sts:AssumeRole"),
    *(
        "cloudformation:*Stack",
        "cloudformation:*ChangeSet",
        "cloudformation:*StackSet",
        "cloudformation:*StackInstances",
    ),
    *("cloudformation:*StackRefactor", "cloudformation:*Rollback", "cloudformation:SetStackPolicy"),
)
"""What no role that a template makes may do, whatever it says: it could become somebody else, or make somebody. A stack
keeps the role that it was made with, so whoever may update one does so as that role: an administrator, where the CDK
made it (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html, RoleARN)."""


class TargetRoles(Stack):
    """The permissions boundary of what templates make, and the roles of a target: four for a service, which hands each
    phase its own; one for workflows that deploy by themselves, as the engine has the job's identity alone there.
    """

    def __init__(self, app: App, construct_id: str, wishes: Wishes) -> None:
        super().__init__(app, construct_id, description="Stagedoor: what it may do in this account")
        self._wishes = wishes
        arn = f"arn:{Aws.PARTITION}"
        self._stack_arns = [
            f"{arn}:cloudformation:{Aws.REGION}:{Aws.ACCOUNT_ID}:{kind}/*" for kind in ("stack", "changeSet")
        ]
        self._assets = f"{arn}:s3:::cdk-{wishes.qualifier}-assets-{Aws.ACCOUNT_ID}-{Aws.REGION}"
        self._images = (
            f"{arn}:ecr:{Aws.REGION}:{Aws.ACCOUNT_ID}:repository/"
            f"cdk-{wishes.qualifier}-container-assets-{Aws.ACCOUNT_ID}-{Aws.REGION}"
        )
        self._parameters = f"{arn}:ssm:{Aws.REGION}:{Aws.ACCOUNT_ID}:parameter"
        self._here = f"{Aws.REGION}:{Aws.ACCOUNT_ID}"
        self._arn = arn
        self.boundary = self._boundary()
        if wishes.principal == "github":
            self.output("WorkflowRoleArn", self._workflow_role().role_arn)
        else:
            self._make_service_roles()
        self.output("PermissionsBoundary", self._boundary_arn)

    def _make_service_roles(self) -> None:
        execution = self._execution_role()
        for name, role in (
            ("DeployRoleArn", self._deploy_role(execution)),
            ("PublishRoleArn", self._publish_role()),
            ("LookupRoleArn", self._lookup_role()),
            ("ExecutionRoleArn", execution),
        ):
            self.output(name, role.role_arn)

    def _role(self, construct_id: str, description: str) -> iam.Role:
        return iam.Role(
            self,
            construct_id,
            description=description,
            assumed_by=self._principal(),
            max_session_duration=Duration.hours(1),
        )

    def _principal(self) -> iam.IPrincipal:
        """Return who may assume a role: the service, with the external id; or workflows of the named repositories."""
        if self._wishes.principal != "github":
            said = {"StringEquals": {"sts:ExternalId": self._wishes.external_id}}
            return iam.PrincipalWithConditions(iam.ArnPrincipal(self._wishes.principal), said)
        provider = f"{self._arn}:iam::{Aws.ACCOUNT_ID}:oidc-provider/{GITHUB_ISSUER}"
        # In production only what is in an environment whose rules the repository's administrators set.
        which = "environment:production" if self._wishes.trust == "production" else "*"
        conditions = {
            "StringEquals": {f"{GITHUB_ISSUER}:aud": "sts.amazonaws.com"},
            "StringLike": {f"{GITHUB_ISSUER}:sub": [f"repo:{each}:{which}" for each in self._wishes.repositories]},
        }
        return iam.FederatedPrincipal(provider, conditions, "sts:AssumeRoleWithWebIdentity")

    def _deploy_role(self, execution: iam.Role) -> iam.Role:
        role = self._role("DeployRole", "Stagedoor: CloudFormation, hotswaps and removal of stages")
        may(role, *STACKS, on=self._stack_arns, why="Stacks are named after apps and stages, which come and go.")
        may(role, *WITHOUT_RESOURCE, on=["*"], why="AWS takes no resource for these.")
        passed = {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}}
        may(role, "iam:PassRole", on=[execution.role_arn], where=passed)
        may(role, "ssm:GetParameter", on=[f"{self._parameters}/cdk-bootstrap/{self._wishes.qualifier}/version"])
        values = ("ssm:GetParameters", "ssm:GetParametersByPath", "ssm:DeleteParameters")
        may(role, *values, on=[f"{self._parameters}/stagedoor/*"], why="Stagedoor's own folder.")
        swapped = [f"{self._parameters}/stagedoor/hotswapped/*"]
        may(role, "ssm:PutParameter", "ssm:DeleteParameter", on=swapped, why="Stagedoor's own folder.")
        code = [f"{self._arn}:lambda:{self._here}:{kind}:*" for kind in ("function", "layer")]
        may(role, *HOTSWAP, on=code, why="Functions are named by apps. A hotswap changes their code and no role.")
        machines = [f"{self._arn}:states:{self._here}:stateMachine:*"]
        may(role, "states:UpdateStateMachine", on=machines, why="State machines are named by apps.")
        may(role, "s3:GetObject", on=[f"{self._assets}/*"], why="Assets are named by their hash.")
        if self._wishes.trust == "preview":
            self._let_remove(role)
        return role

    def _let_remove(self, role: iam.Role) -> None:
        """Let what a preview's apps left behind be deleted, but not the bootstrap's own bucket and repository."""
        groups = [f"{self._arn}:logs:{self._here}:log-group:/aws/{of}/*" for of in ("lambda", "codebuild")]
        for actions, where in (
            (REMOVAL["s3"], [f"{self._arn}:s3:::*"]),
            (REMOVAL["ecr"], [f"{self._arn}:ecr:{self._here}:repository/*"]),
            (REMOVAL["logs"], groups),
        ):
            may(role, *actions, on=where, why="What a preview's stacks hold is named by its app.")
        self._keep_bootstrap_from(role)

    def _keep_bootstrap_from(self, role: iam.Role) -> None:
        may_not(role, *REMOVAL["s3"], *REMOVAL["ecr"], on=[self._assets, f"{self._assets}/*", self._images])

    def _publish_role(self) -> iam.Role:
        role = self._role("PublishRole", "Stagedoor: assets of stages")
        trust = self._wishes.trust
        may(role, *ASSETS, on=[f"{self._assets}/{trust}/*"], why="Assets are named by their hash.")
        may(role, "s3:ListBucket", on=[self._assets], where={"StringLike": {"s3:prefix": [f"{trust}/*"]}})
        may(role, "ecr:GetAuthorizationToken", on=["*"], why="ECR's login has no resource.")
        may(role, *IMAGES, on=[self._images])
        return role

    def _lookup_role(self) -> iam.Role:
        role = self._role("LookupRole", "Stagedoor: what apps may know of the account")
        may(role, *LOOKUPS, on=["*"], why="Descriptions have no resource; no secret is among them.")
        public = [f"{self._arn}:ssm:{Aws.REGION}::parameter/aws/service/*"]
        may(role, "ssm:GetParameter", "ssm:GetParameters", on=public, why="AWS's own public parameters.")
        return role

    def _execution_role(self) -> iam.Role:
        role = iam.Role(
            self,
            "ExecutionRole",
            description="Stagedoor: what CloudFormation may create for stages",
            assumed_by=iam.ServicePrincipal("cloudformation.amazonaws.com"),
        )
        self._let_create(role)
        return role

    def _workflow_role(self) -> iam.Role:
        """Make the role of a job that deploys by itself. It names CloudFormation no role, which therefore makes what
        templates say as the job: this role may all that an app is made of.
        """
        role = self._role("WorkflowRole", "Stagedoor: workflows that deploy stages by themselves")
        self._let_create(role)
        self._keep_bootstrap_from(role)
        may_not(role, "sts:AssumeRole", on=["*"])  # those of the CDK trust the whole account
        return role

    def _let_create(self, role: iam.Role) -> None:
        """Let all be made that apps are made of, and roles with the boundary."""
        role.add_managed_policy(iam.ManagedPolicy.from_aws_managed_policy_name("PowerUserAccess"))
        roles = [f"{self._arn}:iam::{Aws.ACCOUNT_ID}:role/*"]
        why = "Roles are named by apps; those of the CDK and of Stagedoor are denied."
        may(role, *BOUNDED, on=roles, why=why, where={"StringEquals": {"iam:PermissionsBoundary": self._boundary_arn}})
        may(role, *UNBOUNDED, on=roles, why=why)
        ours = [
            f"{self._arn}:iam::{Aws.ACCOUNT_ID}:role/{Aws.STACK_NAME}-*",
            f"{self._arn}:iam::{Aws.ACCOUNT_ID}:role/cdk-*",
        ]
        may_not(role, "iam:*", on=ours)
        power = "Policy::arn:<AWS::Partition>:iam::aws:policy/PowerUserAccess"
        accept(role, "IAM4", "What an app is made of is for its authors; IAM is left out, and bounded above.", power)

    def _boundary(self) -> iam.ManagedPolicy:
        """Make the policy that no permission of a role passes that a template makes."""
        policy = iam.ManagedPolicy(self, "Boundary", description="Stagedoor: what stages never may, whatever they say")
        policy.add_statements(
            iam.PolicyStatement(actions=["*"], resources=["*"]),
            iam.PolicyStatement(effect=iam.Effect.DENY, actions=[*NEVER], resources=["*"]),
        )
        accept(policy, "IAM5", "A boundary grants nothing.", "Resource::*", "Action::*")
        return policy

    @property
    def _boundary_arn(self) -> str:
        return self.boundary.managed_policy_arn


def may(grantee: iam.Role, *actions: str, on: list[str], why: str = "", where: dict[str, Any] | None = None) -> None:
    """Allow actions; `why` there are wildcards in `on`, and `where` it holds, as conditions."""
    grantee.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=on, conditions=where))
    if why:
        accept_wildcards(grantee, on, why)


def may_not(grantee: iam.Role, *actions: str, on: list[str]) -> None:
    """Deny actions, whatever else allows them."""
    grantee.add_to_policy(iam.PolicyStatement(effect=iam.Effect.DENY, actions=[*actions], resources=on))
