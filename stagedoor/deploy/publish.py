"""Puts an assembly's file assets, and the templates that are too long to be sent, where CloudFormation finds them.

All stacks' assets go at once and in parallel; what is there already is not sent again. An asset's key is the hash of
what it holds (see `assets.py`), so two that publish the same one write the same bytes.
"""

import hashlib
import tempfile
import time
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.deploy.assets import asset_files
from stagedoor.deploy.bootstrap import Bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.events import Emit, Event, EventKind

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEMPLATE_BODY_LIMIT = 51_200
"""Bytes of a template that a call may hold; longer ones go by S3
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html)."""

_AT_ONCE = 8
_IN_MEMORY = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


def publish(assembly: Assembly, clients: Clients, emit: Emit) -> None:
    """Upload each asset of an addressed assembly that is not in its bucket yet."""
    assets = {asset.key: asset for stack in assembly.stacks for asset in stack.assets if isinstance(asset, FileAsset)}
    if not assets:
        return
    s3 = clients.client("s3", Phase.PUBLISH)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="publish") as senders:
        sent = [senders.submit(_publish_asset, s3, asset, assembly.directory) for asset in assets.values()]
        try:
            for event in sent:
                emit(event.result())
        except BaseException:
            senders.shutdown(wait=True, cancel_futures=True)
            raise


def publish_long_templates(paths: Iterable[Path], clients: Clients, bootstrap: Bootstrap) -> dict[Path, str]:
    """Upload the templates among `paths` that are too long to be sent, and return their URLs."""
    urls = {}
    for path in paths:
        body = path.read_bytes()
        if len(body) <= TEMPLATE_BODY_LIMIT:
            continue
        key = f"{clients.target.trust}/{hashlib.sha256(body).hexdigest()}.template.json"
        s3 = clients.client("s3", Phase.PUBLISH)
        if not _is_there(s3, bootstrap.bucket, key):
            s3.put_object(Bucket=bootstrap.bucket, Key=key, Body=body)
        urls[path] = _url(clients, bootstrap.bucket, key)
    return urls


def write_archive(asset: FileAsset, root: Path, archive: IO[bytes]) -> None:
    """Write an asset's files as a zip: equal files make equal bytes, whenever and wherever they are packed."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for file in asset_files(asset, root):
            entry = zipfile.ZipInfo(file.name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that Lambda sees the modes
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            with file.path.open("rb") as source, packed.open(entry, "w", force_zip64=False) as into:
                while chunk := source.read(_CHUNK):
                    into.write(chunk)


def _publish_asset(s3: "S3Client", asset: FileAsset, root: Path) -> Event:
    began = time.monotonic()
    name = asset.display_name or asset.key
    if _is_there(s3, asset.bucket, asset.key):
        return Event(EventKind.ASSET, name, "present", seconds=time.monotonic() - began, data={"key": asset.key})
    if asset.packaging is Packaging.FILE:
        with asset.source.open("rb") as source:
            s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=source)
    else:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as archive:
            write_archive(asset, root.resolve(), archive)
            archive.seek(0)
            s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=archive)
    return Event(EventKind.ASSET, name, "uploaded", seconds=time.monotonic() - began, data={"key": asset.key})


def _is_there(s3: "S3Client", bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # Without the right to list a bucket, S3 answers 403 for a key that is not there; the upload will tell.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return False
        raise
    return True


def _url(clients: Clients, bucket: str, key: str) -> str:
    """Return where CloudFormation reads an object; behind an endpoint of one's own, the endpoint's address."""
    endpoint = clients.client("s3", Phase.PUBLISH).meta.endpoint_url
    if "amazonaws.com" in endpoint:
        suffix = "amazonaws.com.cn" if clients.target.partition == "aws-cn" else "amazonaws.com"
        return f"https://{bucket}.s3.{clients.target.region}.{suffix}/{key}"
    return f"{endpoint}/{bucket}/{key}"
