"""An S3 bucket, and who hears of what is put into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.grants.bucket import bucket_binding
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import check_nodes, keyed

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs

_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_CORS_WORDS = frozenset({"origins", "methods", "headers", "exposed", "max_age"})
_UPLOAD_DAYS = 7


@dataclass(frozen=True, slots=True)
class BucketNodes:
    """The resources of a bucket; `dead_letters` is there where functions hear of its objects."""

    bucket: s3.Bucket
    dead_letters: "sqs.IQueue | None" = None


class Bucket(Construct):
    """An S3 bucket that is not public, and that is spoken to by TLS alone.

        Bucket(
            stack,
            "Uploads",
            cors=["https://shop.example.com"],
            expire={"tmp/": 7},
            notifications={"Thumbnail": {"to": "functions/thumbnail.make", "prefix": "in/", "suffix": ".jpg"}},
        )

    `notifications` go to functions, queues and topics, by name: one of them, or `{"to": …}` with any of `events`
    (`created`, the default, `removed`, `expired`, `restored`, `tagged`), `prefix` and `suffix`. What a function fails
    on three times goes to a queue, `dead_letters`: True for one of its own, False, or a Queue.

    `cors` are the origins of web pages that may use it, `"*"` for any, or a mapping with `origins` and any of
    `methods`, `headers`, `exposed` and `max_age` in seconds. `expire` is the number of days after which objects go, or
    that by prefix. With `versioned`, what is overwritten or deleted stays; `expire` then holds for old versions, too.

    It goes with its stage, objects and all, unless the stage is to last. `stagedoor remove` empties it; for
    `cdk destroy` see docs/constructs.md.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        notifications: Mapping[str, object] | None = None,
        dead_letters: object = True,
        cors: str | Sequence[str] | Mapping[str, Any] | None = None,
        expire: float | Mapping[str, float] | None = None,
        versioned: bool = False,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "bucket", "dead_letters", where=self.node.path)
        bucket = s3.Bucket(
            self,
            "Bucket",
            **{
                "block_public_access": s3.BlockPublicAccess.BLOCK_ALL,
                "encryption": s3.BucketEncryption.S3_MANAGED,
                "enforce_ssl": True,
                "minimum_tls_version": 1.2,
                "versioned": versioned,
                "cors": [self._cors(cors)] if cors else None,
                "lifecycle_rules": _lifecycle(expire, versioned=versioned),
                "removal_policy": stage_of(self).removal_policy,
                **keyed(cdk, "bucket"),
            },
        )
        self._nodes = BucketNodes(bucket)
        tell(self.binding)
        if notifications:
            from stagedoor.constructs.bucket_notifications import notify

            self._nodes = BucketNodes(bucket, notify(self, bucket, notifications, dead_letters, cdk))

    @property
    def nodes(self) -> BucketNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to read and to write."""
        return replace(bucket_binding(self._nodes.bucket, self.node.id), owner=self)

    def read(self) -> Binding:
        """Bind for reading and listing."""
        return self.binding.with_access("read")

    def write(self) -> Binding:
        """Bind for writing."""
        return self.binding.with_access("write")

    def delete(self) -> Binding:
        """Bind for deleting. Beside another access: `bind=[bucket, bucket.delete()]`."""
        return self.binding.with_access("delete")

    def _cors(self, said: str | Sequence[str] | Mapping[str, Any]) -> s3.CorsRule:
        rule: Mapping[str, Any] = (
            said if isinstance(said, Mapping) else {"origins": [said] if isinstance(said, str) else list(said)}
        )
        methods = rule.get("methods", _METHODS)
        if "origins" not in rule or not set(rule) <= _CORS_WORDS or not set(methods) <= set(_METHODS):
            raise ConstructError(
                f"{dict(rule)!r} says nothing that CORS knows.",
                f"Write origins, and any of {', '.join(sorted(_CORS_WORDS - {'origins'}))}; methods are "
                f"{', '.join(_METHODS)}.",
                self.node.path,
            )
        return s3.CorsRule(
            allowed_origins=list(rule["origins"]),
            allowed_methods=[s3.HttpMethods[method] for method in methods],
            allowed_headers=list(rule.get("headers", ["*"])),
            exposed_headers=list(rule.get("exposed", ["ETag"])),
            max_age=rule.get("max_age", 3600),
        )


def _lifecycle(expire: float | Mapping[str, float] | None, *, versioned: bool) -> list[s3.LifecycleRule]:
    """Return what goes when. Parts of uploads that nobody ended are paid for and seen by nobody."""
    days = expire if isinstance(expire, Mapping) else {"": expire} if expire is not None else {}
    rules = [s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(_UPLOAD_DAYS))]
    for prefix, number in days.items():
        rules.append(
            s3.LifecycleRule(
                prefix=prefix or None,
                expiration=Duration.days(number),
                noncurrent_version_expiration=Duration.days(number) if versioned else None,
            )
        )
    return rules
