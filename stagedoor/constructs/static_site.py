"""A static site: files in a private bucket, and a distribution in front of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import CustomResource, Duration, IgnoreMode, RemovalPolicy, Token
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.domain import Domain, domain_from, point_at
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.provider import Provider
from stagedoor.constructs.site_build import LEFT_OUT, SiteSource, site_files
from stagedoor.constructs.words import check_nodes, keyed

HASHED = ("assets/*", "static/*", "_app/immutable/*", "_astro/*", "_next/static/*", "_nuxt/*")
"""Where bundlers put files whose names change with their contents: Vite, Create React App, SvelteKit, Astro, Next and
Nuxt."""

FORMAT = "1"
"""To be raised when files get other headers: then all are written again."""

_COPY_SECONDS = 600

_FOLDERS = """\
function handler(event) {
  var request = event.request;
  if (request.uri.endsWith("/")) {
    request.uri += "index.html";
  } else if (!request.uri.split("/").pop().includes(".")) {
    request.uri += "/index.html";
  }
  return request;
}
"""


@dataclass(frozen=True, slots=True)
class StaticSiteNodes:
    """The resources of a site. `files` is what copies them when a stage is deployed."""

    bucket: s3.Bucket
    distribution: cloudfront.Distribution
    files: CustomResource


class StaticSite(Construct):
    """A static site on CloudFront, from a folder below the app's.

        StaticSite(stack, "Docs", "docs", environment={"API_URL": api.url})

    Without a `build` command the folder is the site. With one (`build="npm run build"`), it is run there, and what is
    in `output` is the site; an unchanged folder is not built again. `sources` are other files that the command reads.

    `environment` is the build's. What is known only when the stage is deployed, such as an API's URL, is `{{ NAME }}`
    to the build, and each `{{ NAME }}` in a file is replaced at the deploy, whether there is a build or not.

    `spa=True` answers paths that have no file by `/index.html`; else `not_found`, or a `404.html` that is there, does.
    `hashed` are folders of files whose names change with their contents: browsers keep them for a year, and ask for all
    others each time. `domain` is `{"name": "www.example.com", "zone": "example.com"}`; see `domain.py`. A site's files
    go with it, in stages that are to last, too: they can be made again.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        path: str,
        *,
        build: str | None = None,
        output: str = "dist",
        sources: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        spa: bool = False,
        not_found: str | None = None,
        hashed: Sequence[str] = HASHED,
        domain: Mapping[str, Any] | None = None,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        where, app_dir = self.node.path, Path.cwd().resolve()
        check_nodes(cdk, "bucket", "distribution", "files", where=where)
        values = dict(environment or {})
        told = {name: f"{{{{ {name} }}}}" if Token.is_unresolved(value) else value for name, value in values.items()}
        more = [(app_dir / each).resolve() for each in sources]
        source = SiteSource((app_dir / path).resolve(), build, output, told, more)
        files = site_files(source, app_dir, where)
        page = _error_page(files, spa, not_found, where)
        bucket = s3.Bucket(
            self,
            "Bucket",
            **{
                "block_public_access": s3.BlockPublicAccess.BLOCK_ALL,
                "removal_policy": RemovalPolicy.DESTROY,
                **keyed(cdk, "bucket"),
            },
        )
        _demand_tls(bucket)
        name = domain_from(self, domain, edge=True) if domain else None
        distribution = self._distribution(
            bucket, page, _has_folders(files) and not spa, name, keyed(cdk, "distribution")
        )
        copied = self._copy(files, bucket, distribution, values, hashed, keyed(cdk, "files"))
        self._url = f"https://{name.name if name else distribution.distribution_domain_name}"
        self._nodes = StaticSiteNodes(bucket, distribution, copied)
        tell(self.binding)

    @property
    def nodes(self) -> StaticSiteNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return self._url

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: where it is, and no permission."""
        return Binding("StaticSite", self.node.id, self, {"url": self._url})

    def _distribution(
        self, bucket: s3.Bucket, page: "_ErrorPage | None", folders: bool, name: Domain | None, said: Mapping[str, Any]
    ) -> cloudfront.Distribution:
        function = None
        if folders:
            function = cloudfront.Function(
                self,
                "Folders",
                code=cloudfront.FunctionCode.from_inline(_FOLDERS),
                runtime=cloudfront.FunctionRuntime.JS_2_0,
            )
        viewer = cloudfront.FunctionEventType.VIEWER_REQUEST
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            **{
                "default_root_object": "index.html",
                "default_behavior": cloudfront.BehaviorOptions(
                    origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                    response_headers_policy=cloudfront.ResponseHeadersPolicy.SECURITY_HEADERS,
                    function_associations=[cloudfront.FunctionAssociation(event_type=viewer, function=function)]
                    if function
                    else None,
                ),
                "error_responses": page.responses if page else None,
                "domain_names": [name.name] if name else None,
                "certificate": name.certificate if name else None,
                "http_version": cloudfront.HttpVersion.HTTP2_AND_3,
                **said,
            },
        )
        if name:
            from aws_cdk.aws_route53_targets import CloudFrontTarget

            point_at(self, name, CloudFrontTarget(distribution))
        return distribution

    def _copy(
        self,
        files: Path,
        bucket: s3.Bucket,
        distribution: cloudfront.Distribution,
        values: Mapping[str, str],
        hashed: Sequence[str],
        said: Mapping[str, Any],
    ) -> CustomResource:
        """Copy the site into its bucket with each deploy. aws-cdk-lib's own BucketDeployment would bring the AWS CLI as
        a layer, and a role for all objects of the assets' bucket.
        """
        asset = s3_assets.Asset(self, "Files", path=str(files), exclude=list(LEFT_OUT), ignore_mode=IgnoreMode.GIT)
        statements = [
            (["s3:GetObject"], asset.bucket.arn_for_objects(asset.s3_object_key)),
            (["s3:ListBucket"], bucket.bucket_arn),
            (["s3:PutObject", "s3:DeleteObject"], bucket.arn_for_objects("*")),
            (["cloudfront:CreateInvalidation"], distribution.distribution_arn),
        ]
        provider = Provider(
            self,
            "Copy",
            module="site",
            statements=[iam.PolicyStatement(actions=actions, resources=[arn]) for actions, arn in statements],
            seconds=_COPY_SECONDS,
            memory=1024,
        )
        copied = CustomResource(
            self,
            "Copied",
            **{
                "resource_type": "Custom::StagedoorSite",
                "service_token": provider.function.function_arn,
                "service_timeout": Duration.seconds(_COPY_SECONDS + 30),
                "properties": {
                    "Bucket": bucket.bucket_name,
                    "Distribution": distribution.distribution_id,
                    "AssetBucket": asset.s3_bucket_name,
                    "AssetKey": asset.s3_object_key,
                    "Values": values,
                    "Hashed": list(hashed),
                    "Format": FORMAT,
                },
                **said,
            },
        )
        copied.node.add_dependency(provider, bucket, distribution)
        return copied


@dataclass(frozen=True, slots=True)
class _ErrorPage:
    """The page that answers where there is no file. A private bucket says 403 for those."""

    path: str
    status: int

    @property
    def responses(self) -> list[cloudfront.ErrorResponse]:
        """As CloudFront has it; kept at the edge no longer than a request takes."""
        return [
            cloudfront.ErrorResponse(
                http_status=status,
                response_http_status=self.status,
                response_page_path=self.path,
                ttl=Duration.seconds(0),
            )
            for status in (403, 404)
        ]


def _error_page(files: Path, spa: bool, not_found: str | None, where: str) -> _ErrorPage | None:
    if spa and not_found:
        raise ConstructError(
            "Either `index.html` answers or a page of its own.", "Leave `spa` or `not_found` out.", where
        )
    wanted = "index.html" if spa else (not_found or "404.html").lstrip("/")
    if (files / wanted).is_file():
        return _ErrorPage(f"/{wanted}", 200 if spa else 404)
    if spa or not_found:
        raise ConstructError(f"The site has no {wanted}.", "That is the page for paths without a file.", where)
    return None


def _demand_tls(bucket: s3.Bucket) -> None:
    """Deny what is not asked for by TLS, as `enforce_ssl` does, to all but AWS's services: CloudFront speaks to S3 as
    its viewers to it, which is by HTTPS, and the local AWS takes its requests for plain HTTP.
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalisawsservice)
    """
    bucket.add_to_resource_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            principals=[iam.AnyPrincipal()],
            actions=["s3:*"],
            resources=[bucket.bucket_arn, bucket.arn_for_objects("*")],
            conditions={"Bool": {"aws:SecureTransport": "false", "aws:PrincipalIsAWSService": "false"}},
        )
    )


def _has_folders(files: Path) -> bool:
    """Whether pages are in folders of their own, `about/index.html`."""
    return any(file.parent != files for file in files.rglob("index.html") if "node_modules" not in file.parts)
