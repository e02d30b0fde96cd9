"""Assets of `LegacyStackSynthesizer`: told in a stack's metadata, and handed over as the values of template parameters.

What the CDK CLI works out when it deploys (`prepareAsset` of `toolkit-lib/lib/api/deployments/assets.ts` in
https://github.com/aws/aws-cdk-cli) is worked out here, so that nobody after the reader knows of this synthesizer: an
asset with a bucket and a key like any other, and three parameters of the stack.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stagedoor.assembly.documents import SYNTH_AGAIN, MalformedAssembly, path_inside
from stagedoor.assembly.model import FileAsset, Packaging
from stagedoor.assembly.schema import MetadataEntry, RawLegacyAsset, parse
from stagedoor.errors import UserError

BUCKET = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
"""What CDK's other synthesizers call the bucket; the CDK CLI takes this one's from the bootstrap stack's outputs."""

SEPARATOR = "||"
"""Stands in the key's parameter between prefix and name; the template takes both and puts them together
(`ASSET_PREFIX_SEPARATOR` of aws-cdk-lib's cx-api). We need no prefix."""

ENTRY = "aws:cdk:asset"


class LegacySynthesizer(UserError):
    """A stack of CDK's old `LegacyStackSynthesizer` that holds what cannot be handed over as it wants it."""

    id = "legacy-synthesizer"


def legacy_assets(
    root: Path, directory: Path, name: str, metadata: Mapping[str, Sequence[MetadataEntry]]
) -> Iterator[tuple[FileAsset, dict[str, str]]]:
    """Yield each asset that a stack's metadata tells of, with the parameters that say where it is.

    `name` is what errors call the stack. Raises `LegacySynthesizer` for images and nested stacks.
    """
    for entry in (entry for entries in metadata.values() for entry in entries if entry.type == ENTRY):
        data: Any = entry.data
        if not isinstance(data, dict) or data.get("packaging") == "container-image":
            raise _unsupported(name, "a container image, for which the CDK CLI makes a repository while it deploys")
        raw = parse(RawLegacyAsset, data, name)
        source = path_inside(root, directory, raw.path)
        packaging = Packaging(raw.packaging)
        if source.is_dir() != (packaging is Packaging.ZIP):
            raise MalformedAssembly(f"{name}: {raw.path!a} is to be published as a {packaging}, not so.", SYNTH_AGAIN)
        if source.name.endswith(".template.json"):
            raise _unsupported(name, "a nested stack, whose template would stay as it is in every stage")
        key = f"{raw.hash}{'.zip' if packaging is Packaging.ZIP else source.suffix}"
        parameters = {raw.bucket: BUCKET, raw.key: f"{SEPARATOR}{key}", raw.artifact_hash: raw.hash}
        yield FileAsset(raw.hash, source, packaging, BUCKET, key, display_name=raw.path), parameters


def _unsupported(name: str, what: str) -> LegacySynthesizer:
    return LegacySynthesizer(
        f"{name}: the stack has the legacy synthesizer and {what}.",
        "Use the DefaultStackSynthesizer: leave `synthesizer` out of the stack and "
        "`@aws-cdk/core:newStyleStackSynthesis: false` out of cdk.json.",
    )
