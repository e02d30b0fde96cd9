"""S3 buckets."""

from typing import Any

from stagedoor.constructs.binding import Binding, statement
from stagedoor.constructs.grants.key import decrypt, encrypt


def bucket_binding(bucket: Any, name: str) -> Binding:
    """Return what a bucket gives. `<bucket>/*` are its objects, which have no narrower name before there are any
    (https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html). Who may list is told of an
    object that is missing; who may not is told that it is forbidden.
    """
    arn, objects = bucket.bucket_arn, f"{bucket.bucket_arn}/*"
    key = getattr(bucket, "encryption_key", None)
    return Binding(
        "Bucket",
        name,
        bucket,
        {"bucket_name": bucket.bucket_name},
        {
            "read": (statement("s3:GetObject", objects), statement("s3:ListBucket", arn), *decrypt(key)),
            "write": (statement("s3:PutObject s3:AbortMultipartUpload", objects), *encrypt(key)),
            "delete": (statement("s3:DeleteObject", objects),),
        },
        ("read", "write"),
    )
