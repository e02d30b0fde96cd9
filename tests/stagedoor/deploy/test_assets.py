import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from stagedoor.assembly.model import Assembly, FileAsset
from stagedoor.deploy.publishing import asset_files
from stagedoor.deploy.publishing.archives import write_archive
from stagedoor.deploy.publishing.asset_files import AssetOutsideAssembly, AssetTooLarge, content_hash
from stagedoor.deploy.publishing.assets import ForeignAssetBucket, address_assets, with_keys
from stagedoor.target import Target, Trust
from tests.stagedoor.deploy.assemblies import code_asset, stack, template

TARGET = Target(name="t", account="111122223333", region="us-east-1")


def addressed(directory: Path, asset: FileAsset, target: Target = TARGET) -> FileAsset:
    assembly = Assembly(directory, (stack(directory, "S", template(), assets=(asset,)),))
    result = address_assets(assembly, target, directory / "into").stacks[0].assets[0]
    assert isinstance(result, FileAsset)
    return result


def archive(asset: FileAsset, root: Path) -> bytes:
    packed = io.BytesIO()
    write_archive(asset, root, packed)
    return packed.getvalue()


def test_equal_files_make_equal_keys_and_equal_bytes(tmp_path: Path):
    files = {"b.py": "b", "a/x.py": "x"}
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    one, two = code_asset(first, TARGET, files), code_asset(second, TARGET, dict(reversed(files.items())))
    os.utime(two.source / "b.py", (1, 1))
    assert content_hash(one, first) == content_hash(two, second)
    assert archive(one, first) == archive(two, second)


def test_an_archive_holds_what_the_asset_holds_packed_where_that_gains_something(tmp_path: Path):
    asset = code_asset(tmp_path, TARGET, {"text.py": "text\n" * 100_000, "empty": ""})
    (asset.source / "noise").write_bytes(os.urandom(300_000))
    (asset.source / "run").write_text("#!")
    (asset.source / "run").chmod(0o755)
    with zipfile.ZipFile(io.BytesIO(archive(asset, tmp_path))) as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == {
            path.name: path.read_bytes() for path in asset.source.iterdir()
        }
        assert packed.getinfo("text.py").compress_size < 10_000
        assert packed.getinfo("noise").compress_type == zipfile.ZIP_STORED
        assert packed.getinfo("run").external_attr >> 16 == 0o100755


def test_what_an_assembly_claims_is_no_address(tmp_path: Path):
    honest, forged = tmp_path / "1", tmp_path / "2"
    honest.mkdir()
    forged.mkdir()
    claimed = "a" * 64
    one = addressed(honest, code_asset(honest, TARGET, {"index.py": "good"}, claimed))
    two = addressed(forged, code_asset(forged, TARGET, {"index.py": "bad"}, claimed))
    assert one.key != two.key
    assert claimed not in one.key


def test_an_executable_file_is_another_asset(tmp_path: Path):
    asset = code_asset(tmp_path, TARGET, {"bootstrap": "#!"})
    before = content_hash(asset, tmp_path)
    (asset.source / "bootstrap").chmod(0o755)
    assert content_hash(asset, tmp_path) != before


def test_trust_levels_share_no_asset(tmp_path: Path):
    asset = code_asset(tmp_path, TARGET, {"index.py": "x"})
    production = replace(TARGET, trust=Trust.PRODUCTION)
    assert addressed(tmp_path, asset).key.startswith("preview/")
    assert addressed(tmp_path, asset, production).key.startswith("production/")


def test_a_link_out_of_the_assembly_is_refused(tmp_path: Path):
    (tmp_path / "secret").write_text("of the service")
    directory = tmp_path / "cdk.out"
    directory.mkdir()
    asset = code_asset(directory, TARGET, {"index.py": "x"})
    (asset.source / "stolen").symlink_to(tmp_path / "secret")
    with pytest.raises(AssetOutsideAssembly, match="stolen"):
        addressed(directory, asset)


def test_links_inside_the_assembly_are_followed_and_circles_end(tmp_path: Path):
    asset = code_asset(tmp_path, TARGET, {"lib/one.py": "x"})
    (asset.source / "again").symlink_to(asset.source / "lib")
    (asset.source / "lib" / "circle").symlink_to(asset.source)
    assert b"again/one.py" in archive(asset, tmp_path)


@pytest.mark.parametrize("target", ["itself", "nothing", "n" * 300])
def test_links_to_nothing_are_refused(tmp_path: Path, target: str):
    asset = code_asset(tmp_path, TARGET, {"one.py": "x"})
    (asset.source / "itself").symlink_to(target)
    with pytest.raises(AssetOutsideAssembly, match="itself"):
        addressed(tmp_path, asset)


def test_links_that_multiply_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asset_files, "MOST_FILES", 1000)
    asset = code_asset(tmp_path, TARGET, {"d0/index.py": "x"})
    for depth in range(1, 40):
        (asset.source / f"d{depth}").mkdir()
        for name in ("a", "b"):
            (asset.source / f"d{depth}" / name).symlink_to(asset.source / f"d{depth - 1}")
    with pytest.raises(AssetTooLarge):
        content_hash(asset, tmp_path)


def test_a_foreign_bucket_is_refused(tmp_path: Path):
    asset = replace(code_asset(tmp_path, TARGET, {"index.py": "x"}), bucket="somebody-elses")
    with pytest.raises(ForeignAssetBucket, match="somebody-elses"):
        addressed(tmp_path, asset)


def test_keys_are_replaced_where_they_are_keys():
    claimed, ours = "c" * 64 + ".zip", "preview/1.zip"
    value = {"S3Key": claimed, "Urls": [f"https://bucket/{claimed}", f"s3://bucket/{claimed}?x"], "Other": "c.zip"}
    assert with_keys(value, {claimed: ours}) == {
        "S3Key": ours,
        "Urls": [f"https://bucket/{ours}", f"s3://bucket/{ours}?x"],
        "Other": "c.zip",
    }
    assert with_keys({"Name": "my-code", "Key": "code"}, {"code": ours}) == {"Name": "my-code", "Key": ours}
