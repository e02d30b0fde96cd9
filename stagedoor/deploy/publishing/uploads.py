"""Sends files into a bucket: in parts and in parallel when they are large, with bounded memory, and stoppable.

S3 checks what it stores: each request carries the SHA-256 of its bytes. Retries and their pauses are the SDK's.
"""

import hashlib
import os
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Executor, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from stagedoor.errors import LeaseLost

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 8 << 20
"""A part's size. S3 takes parts of 5 MiB or more, at most 10,000 of them
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html)."""

_MOST_PARTS = 10_000
_WHOLE_BYTES = 2 * PART_BYTES
"""What is no larger goes by one request."""

_CHUNK = 1 << 18
_PAGE = 1_000


class Transfer:
    """How far one file is. Written by the threads that send it and read by the one that tells of it."""

    def __init__(self) -> None:
        self.total = 0
        self._sent = [0]

    def begin(self, total: int, requests: int) -> None:
        """Say how many bytes will go, by how many requests."""
        self.total, self._sent = total, [0] * requests

    def reach(self, request: int, position: int) -> None:
        """Say how many of its bytes a request has sent; one that is sent again begins anew."""
        self._sent[request] = position

    @property
    def sent(self) -> int:
        """Bytes sent so far."""
        return sum(self._sent)


@dataclass(frozen=True, slots=True)
class Uploads:
    """The way into one bucket, which must be the account's own: a bucket of that name may be a stranger's.

    Parts of large files are sent by the threads of `parts`. When `stop` is set, whatever is being sent raises
    `CancelledError` soon.
    """

    s3: "S3Client"
    bucket: str
    account: str
    parts: Executor
    stop: threading.Event

    def holds(self, key: str) -> bool:
        """Whether an object is there. Without the right to list a bucket S3 says no less than "forbidden" of one that
        is not; that counts as no, and the upload will tell.
        """
        try:
            self.s3.head_object(Key=key, **self._there())
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
                return False
            raise
        return True

    def first_page(self, prefix: str) -> tuple[frozenset[str], str | None]:
        """Return keys that are there, in order, and the last of them when there are more; None: these are all.

        One request tells of a thousand objects. Where listing is not allowed nothing is known of any key: `("", …)`.
        """
        try:
            page = self.s3.list_objects_v2(Prefix=prefix, MaxKeys=_PAGE, **self._there())
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                return frozenset(), ""
            raise
        keys = [found["Key"] for found in page.get("Contents", []) if "Key" in found]
        return frozenset(keys), keys[-1] if page.get("IsTruncated") and keys else None

    def send(self, descriptor: int, key: str, transfer: Transfer, sha256: str | None = None) -> None:
        """Store an open file's bytes under `key`. `sha256` is their digest in hex, where it is known already.

        Raises `ClientError`, also when what arrived has another digest; of a file sent in parts nothing is left then.
        """
        size = os.fstat(descriptor).st_size
        if size > _WHOLE_BYTES:
            self._send_parts(descriptor, size, key, transfer)
            return
        transfer.begin(size, 1)
        window = _Window(descriptor, 0, size, transfer, 0, self.stop)
        checksum = b64encode(bytes.fromhex(sha256)).decode() if sha256 else window.checksum()
        self.s3.put_object(Key=key, Body=_body(window), ContentLength=size, ChecksumSHA256=checksum, **self._there())

    def _send_parts(self, descriptor: int, size: int, key: str, transfer: Transfer) -> None:
        length = max(PART_BYTES, -(-size // _MOST_PARTS))
        starts = range(0, size, length)
        transfer.begin(size, len(starts))
        with self._multipart(key) as upload:
            sent = [
                self.parts.submit(
                    self._send_part,
                    upload,
                    key,
                    _Window(descriptor, start, min(length, size - start), transfer, index, self.stop),
                )
                for index, start in enumerate(starts)
            ]
            parts = _all_of(sent)
            try:
                self.s3.complete_multipart_upload(
                    Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **self._there()
                )
            except self.s3.exceptions.NoSuchUpload:
                if not self.holds(key):  # else it was completed by an attempt whose answer was lost
                    raise

    def _send_part(self, upload: str, key: str, window: "_Window") -> "CompletedPartTypeDef":
        number, checksum = window.index + 1, window.checksum()
        stored = self.s3.upload_part(
            Key=key,
            UploadId=upload,
            PartNumber=number,
            Body=_body(window),
            ContentLength=window.size,
            ChecksumSHA256=checksum,
            **self._there(),
        )
        return {"PartNumber": number, "ETag": stored["ETag"], "ChecksumSHA256": checksum}

    @contextmanager
    def _multipart(self, key: str) -> Iterator[str]:
        """Begin an upload in parts, and take it back when it does not come to its end."""
        upload = self.s3.create_multipart_upload(Key=key, ChecksumAlgorithm="SHA256", **self._there())["UploadId"]
        try:
            yield upload
        except BaseException:
            # Whoever lost the lease may not even abort: then the bootstrap's bucket drops the parts after a day.
            with suppress(BotoCoreError, ClientError, LeaseLost):
                self.s3.abort_multipart_upload(Key=key, UploadId=upload, **self._there())
            raise

    def _there(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "ExpectedBucketOwner": self.account}


def _all_of(sent: "list[Future[CompletedPartTypeDef]]") -> "list[CompletedPartTypeDef]":
    """Return what the parts came to; when one failed, after the others have ended: a late one would be left behind."""
    wait(sent, return_when=FIRST_EXCEPTION)
    wait([part for part in sent if not part.cancel()])
    failed = [part for part in sent if not part.cancelled() and part.exception()]
    return [part.result() for part in failed or sent]


class _Window:
    """A stretch of an open file as one request's body. Many windows of one file are read at the same time."""

    def __init__(
        self, descriptor: int, start: int, size: int, transfer: Transfer, index: int, stop: threading.Event
    ) -> None:
        self.size = size
        self.index = index
        self._descriptor = descriptor
        self._start = start
        self._transfer = transfer
        self._stop = stop
        self._at = 0

    def checksum(self) -> str:
        """Return the SHA-256 of the bytes as S3 takes it."""
        digest = hashlib.sha256()
        for at in range(0, self.size, _CHUNK):
            if self._stop.is_set():
                raise CancelledError
            digest.update(os.pread(self._descriptor, min(_CHUNK, self.size - at), self._start + at))
        return b64encode(digest.digest()).decode()

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, a quarter of a megabyte at most: signing asks for more, in each of many threads.

        `CancelledError` is the one exception that botocore neither wraps nor tries again.
        """
        if self._stop.is_set():
            raise CancelledError
        left = self.size - self._at
        wanted = left if size is None or size < 0 else min(size, left, _CHUNK)
        data = os.pread(self._descriptor, wanted, self._start + self._at)
        self._at += len(data)
        self._transfer.reach(self.index, self._at)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the window."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place in the window."""
        return self._at


def _body(window: _Window) -> Any:
    """Return the window as what boto3's types call a body: they know no protocol for one."""
    return window
