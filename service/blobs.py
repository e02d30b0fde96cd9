"""Where the service keeps what is too large for a row: runs' logs, assemblies, uploads.

A folder on a laptop; a bucket where web and worker are different machines. Keys are paths of ours, never of a user's.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from service.settings import Settings, SettingsInvalid

MARK = "service/id"


class BlobStore(Protocol):
    """Bytes by key. A key is written whole or not at all."""

    def put(self, key: str, data: bytes) -> None:
        """Write `data` under `key`, in the place of what was there."""

    def get(self, key: str) -> bytes:
        """Return the bytes under `key`; `KeyError` when there are none."""

    def put_file(self, key: str, file: Path) -> None:
        """Write what a file holds under `key`; at no time is all of it in memory."""

    def get_file(self, key: str, file: Path) -> None:
        """Write what is under `key` into a file; `KeyError` when there is nothing."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix` and sort after `after`, in order."""

    def delete(self, prefix: str) -> None:
        """Delete every key that begins with `prefix`: a folder's name, or a whole key."""


class FolderBlobs:
    """Blobs as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def put(self, key: str, data: bytes) -> None:
        """Write to a file beside the final one and rename it, so that a reader never sees half of it."""
        with self._written(key) as beside:
            beside.write_bytes(data)

    def put_file(self, key: str, file: Path) -> None:
        """Copy the file, in the same way."""
        with self._written(key) as beside:
            shutil.copyfile(file, beside)

    def get_file(self, key: str, file: Path) -> None:
        """Copy the file out."""
        try:
            shutil.copyfile(self._path(key), file)
        except (FileNotFoundError, IsADirectoryError):
            raise KeyError(key) from None

    @contextmanager
    def _written(self, key: str) -> Iterator[Path]:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
        try:
            yield beside
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        """Read the file."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            raise KeyError(key) from None

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """List the folder that the prefix ends in; prefixes end with a slash."""
        folder = self._path(prefix)
        if not folder.is_dir():
            return
        for path in sorted(folder.rglob("*")):
            key = path.relative_to(self._folder).as_posix()
            if key > after and path.is_file() and not path.name.startswith("."):
                yield key

    def delete(self, prefix: str) -> None:
        """Delete the files one by one; empty folders stay."""
        if self._path(prefix).is_file():
            self._path(prefix).unlink(missing_ok=True)
        for key in list(self.keys(prefix)):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise ValueError(f"a key outside the store: {key!r}")
        return path


class S3Blobs:
    """Blobs as objects in a bucket, under a prefix."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3  # only where a bucket is used

        self._s3 = boto3.client("s3")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def put(self, key: str, data: bytes) -> None:
        """Put the object; S3 shows it whole or not at all."""
        self._s3.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def get(self, key: str) -> bytes:
        """Get the object."""
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            raise KeyError(key) from None

    def put_file(self, key: str, file: Path) -> None:
        """Send the file in parts."""
        self._s3.upload_file(str(file), self._bucket, self._prefix + key)

    def get_file(self, key: str, file: Path) -> None:
        """Get the object in parts."""
        try:
            self._s3.download_file(self._bucket, self._prefix + key, str(file))
        except self._s3.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
                raise KeyError(key) from None
            raise

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """List the objects, page by page."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix, StartAfter=self._prefix + after if after else ""
        )
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"].removeprefix(self._prefix)

    def delete(self, prefix: str) -> None:
        """Delete the objects one by one: logs of old runs are few and this is not on anybody's way."""
        for key in list(self.keys(prefix)):
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + key)


def mark_as_ours(blobs: BlobStore, service: str) -> None:
    """Write the service's id into the store, for `check_is_ours`."""
    blobs.put(MARK, service.encode())


def check_is_ours(blobs: BlobStore, service: str) -> None:
    """Raise `SettingsInvalid` when this is not the store that the service's web process reads."""
    try:
        found = blobs.get(MARK).decode()
    except KeyError:
        found = ""
    if found != service:
        raise SettingsInvalid(
            "This worker would write its logs where the service's pages do not read them.",
            "Set STAGEDOOR_BLOB_URL to the same bucket for `stagedoor serve` and every worker; on one machine, the "
            "same STAGEDOOR_DATA_DIR is enough.",
        )


def open_blobs(settings: Settings) -> BlobStore:
    """Return the store that the settings name."""
    if settings.blob_url:
        parts = urlsplit(settings.blob_url)
        if parts.scheme != "s3" or not parts.netloc:
            raise SettingsInvalid(
                f"STAGEDOOR_BLOB_URL is {settings.blob_url!r}, which names no bucket.", "Write s3://bucket/prefix."
            )
        return S3Blobs(parts.netloc, parts.path)
    return FolderBlobs(settings.data_dir / "blobs")
