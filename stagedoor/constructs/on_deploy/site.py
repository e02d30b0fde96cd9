"""A static site's files: from its asset into its bucket, with the stage's values in place of their names."""

import hashlib
import io
import mimetypes
import re
import urllib.parse
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from stagedoor.constructs.on_deploy.cloudformation import answered

IMMUTABLE = "public, max-age=31536000, immutable"
PAGE = "no-cache"
OTHER = "public, max-age=0, s-maxage=86400, must-revalidate"
"""For the browser to ask each time, and for the edge to keep until it is told otherwise."""

_TYPES = {
    ".avif": "image/avif",
    ".js": "text/javascript",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
_TEXTS = ("text/", "application/json", "application/manifest+json", "application/xml", "image/svg+xml")
_MANY_PATHS = 30
_HASHED = re.compile(r"[-._][A-Za-z0-9_-]{8,}\.\w+(\.map)?$")


@dataclass(frozen=True)
class File:
    """A file as it is to be in the bucket."""

    key: str
    content: bytes
    kind: str
    cache: str

    @property
    def tag(self) -> str:
        """What S3 has as the ETag of an object that was put whole, where it encrypts with its own keys
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html).
        """
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


def handle(event: Mapping[str, Any], context: Any) -> None:
    """Answer CloudFormation's request about a site's files."""
    answered(event, context, _apply)


def files_of(archive: bytes, values: Mapping[str, str], hashed: Iterable[str]) -> Iterator[File]:
    """Yield a site's files. `values` stand in place of `{{ NAME }}`; `hashed` are patterns of folders in which a file's
    name changes with its contents.
    """
    placeholders = {f"{{{{ {name} }}}}".encode(): value.encode() for name, value in values.items()}
    hashed = tuple(hashed)
    with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
        for entry in zipped.infolist():
            if entry.is_dir():
                continue
            original = content = zipped.read(entry)
            for placeholder, value in placeholders.items():
                content = content.replace(placeholder, value)
            # A value changes without the name, so what holds one may not be kept for good.
            named = content == original and any(fnmatch(entry.filename, pattern) for pattern in hashed)
            yield File(entry.filename, content, _type(entry.filename), _cache(entry.filename, named))


def paths_of(keys: Iterable[str]) -> list[str]:
    """Return the paths at which changed files may be kept at the edge; of many, one for all."""
    paths = []
    for key in sorted(keys):
        path = f"/{urllib.parse.quote(key)}"
        paths.append(path)
        if path.endswith("/index.html"):
            folder = path.removesuffix("index.html")
            paths += [folder] if folder == "/" else [folder, folder.rstrip("/")]
    return paths if len(paths) <= _MANY_PATHS else ["/*"]


def _apply(event: Mapping[str, Any]) -> str:
    import boto3

    said, before = event["ResourceProperties"], event.get("OldResourceProperties", {})
    s3 = boto3.client("s3")
    bucket = said["Bucket"]
    there = _objects(s3, bucket)
    if event["RequestType"] == "Delete":
        _remove(s3, bucket, there)
        return str(event["PhysicalResourceId"])
    archive = s3.get_object(Bucket=said["AssetBucket"], Key=said["AssetKey"])["Body"].read()
    files = list(files_of(archive, said.get("Values", {}), said.get("Hashed", ())))
    rewritten = bool(before) and any(before.get(name) != said.get(name) for name in ("Format", "Hashed"))
    changed = [file for file in files if rewritten or there.get(file.key) != file.tag]
    # Pages last: they name the others.
    for pages in (False, True):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda file: _put(s3, bucket, file), [one for one in changed if _is_page(one.key) == pages]))
    gone = set(there) - {file.key for file in files}
    _remove(s3, bucket, gone)
    stale = paths_of({file.key for file in changed if file.key in there} | gone)
    if stale:
        boto3.client("cloudfront").create_invalidation(
            DistributionId=said["Distribution"],
            InvalidationBatch={
                "Paths": {"Quantity": len(stale), "Items": stale},
                "CallerReference": event["RequestId"],
            },
        )
    return f"files of {bucket}"


def _objects(s3: Any, bucket: str) -> dict[str, str]:
    """Return what is in a bucket: ETags by key. A bucket that is gone has nothing in it."""
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {each["Key"]: each["ETag"].strip('"') for page in pages for each in page.get("Contents", ())}
    except s3.exceptions.NoSuchBucket:
        return {}


def _put(s3: Any, bucket: str, file: File) -> None:
    s3.put_object(Bucket=bucket, Key=file.key, Body=file.content, ContentType=file.kind, CacheControl=file.cache)


def _remove(s3: Any, bucket: str, keys: Iterable[str]) -> None:
    listed = sorted(keys)
    for start in range(0, len(listed), 1000):
        objects = [{"Key": key} for key in listed[start : start + 1000]]
        failed = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors")
        if failed:
            raise RuntimeError(f"{len(failed)} files of {bucket} could not be removed: {failed[0].get('Message')}")


def _is_page(key: str) -> bool:
    return key.endswith((".html", ".htm"))


def _cache(key: str, named: bool) -> str:
    if _is_page(key):
        return PAGE
    return IMMUTABLE if named and _HASHED.search(key) else OTHER


def _type(key: str) -> str:
    suffix = f".{key.rpartition('.')[2].lower()}" if "." in key else ""
    kind = _TYPES.get(suffix) or mimetypes.guess_type(key)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith(_TEXTS) else kind
