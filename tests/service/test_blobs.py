import boto3
import pytest

from demo.aws.server import LocalAws
from service.blobs import FolderBlobs, S3Blobs, open_blobs
from service.settings import Settings, SettingsInvalid


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(params=["folder", "s3"])
def blobs(request, tmp_path, monkeypatch):
    if request.param == "folder":
        return FolderBlobs(tmp_path)
    for name, value in request.getfixturevalue("aws").environment("000000000777").items():
        monkeypatch.setenv(name, value)
    boto3.setup_default_session()
    boto3.client("s3").create_bucket(Bucket="blobs")
    return S3Blobs("blobs", "a/prefix")


def test_what_is_put_is_got_listed_in_order_and_deleted(blobs):
    for key in ("runs/1/events/00000002", "runs/1/events/00000001", "runs/2/events/00000001"):
        blobs.put(key, key.encode())
    assert list(blobs.keys("runs/1/events/")) == ["runs/1/events/00000001", "runs/1/events/00000002"]
    assert list(blobs.keys("runs/1/events/", "runs/1/events/00000001")) == ["runs/1/events/00000002"]
    assert blobs.get("runs/1/events/00000002") == b"runs/1/events/00000002"
    blobs.put("runs/1/events/00000002", b"again")
    assert blobs.get("runs/1/events/00000002") == b"again"
    blobs.delete("runs/1/")
    assert list(blobs.keys("runs/")) == ["runs/2/events/00000001"]
    blobs.delete("runs/")


def test_what_is_not_there_is_a_key_error(blobs):
    with pytest.raises(KeyError):
        blobs.get("nothing")
    assert list(blobs.keys("nothing/")) == []


def test_a_file_goes_in_and_comes_out_as_it_is_and_whole(blobs, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 40_000)
    blobs.put_file("assemblies/1/one.zip", source)
    blobs.get_file("assemblies/1/one.zip", target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(KeyError):
        blobs.get_file("assemblies/1/two.zip", target)
    blobs.delete("assemblies/1/one.zip")
    assert list(blobs.keys("assemblies/")) == []


def test_a_key_cannot_leave_the_folder(tmp_path):
    with pytest.raises(ValueError, match="outside"):
        FolderBlobs(tmp_path / "store").put("../elsewhere", b"")


def test_a_store_that_is_no_bucket_is_refused():
    with pytest.raises(SettingsInvalid, match="names no bucket"):
        open_blobs(Settings(blob_url="https://bucket"))
