"""An assembly without an app: so many stacks, each with so many file assets of random bytes."""

import hashlib
import json
import random
from pathlib import Path
from typing import Any

ASSETS_BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
_DESTINATION = "current_account-current_region"


def make_assembly(directory: Path, stacks: int, assets: int, size: int, seed: int = 0) -> Path:
    """Write an assembly of independent stacks and return its directory. `size` is an asset's, in bytes.

    Each asset is a folder with one file, to be zipped by whoever publishes it, as Lambda code is; a parameter in its
    stack holds its key. Random bytes do not shrink, so what is made is what is sent.
    """
    directory.mkdir(parents=True)
    chance = random.Random(seed)
    artifacts: dict[str, Any] = {}
    for number in range(stacks):
        name = f"Stack{number:02d}"
        hashes = [_asset(directory, chance.randbytes(size)) for _ in range(assets)]
        artifacts |= _stack(directory, name, hashes)
    manifest = {"version": "48.0.0", "artifacts": artifacts}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


def _asset(directory: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    folder = directory / f"asset.{digest}"
    folder.mkdir()
    (folder / "data.bin").write_bytes(content)
    return digest


def _stack(directory: Path, name: str, hashes: list[str]) -> dict[str, Any]:
    resources = {
        f"Key{place}": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Fn::Sub": f"s3://{ASSETS_BUCKET}/{digest}.zip"}},
        }
        for place, digest in enumerate(hashes)
    }
    (directory / f"{name}.template.json").write_text(json.dumps({"Resources": resources}))
    files = {
        digest: {
            "displayName": f"{name}/Asset{place}",
            "source": {"path": f"asset.{digest}", "packaging": "zip"},
            "destinations": {_DESTINATION: {"bucketName": ASSETS_BUCKET, "objectKey": f"{digest}.zip"}},
        }
        for place, digest in enumerate(hashes)
    }
    (directory / f"{name}.assets.json").write_text(
        json.dumps({"version": "48.0.0", "files": files, "dockerImages": {}})
    )
    return {
        f"{name}.assets": {
            "type": "cdk:asset-manifest",
            "properties": {"file": f"{name}.assets.json", "requiresBootstrapStackVersion": 6},
        },
        name: {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": [f"{name}.assets"],
        },
    }
