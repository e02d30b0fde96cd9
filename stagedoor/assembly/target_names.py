"""What an assembly calls the account, the region and the bootstrap resources, and what the target calls them.

CDK writes placeholders into buckets and keys where a stack does not name its environment, and real values where it
does; the qualifier is the app's choice, and the target's is what counts.
Source: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from stagedoor.assembly.model import DockerImageAsset, FileAsset, Template
from stagedoor.assembly.template import section, with_strings
from stagedoor.target import Target

_BOOTSTRAP_PARAMETER = re.compile(r"/cdk-bootstrap/[A-Za-z0-9_-]{1,10}/version")


def url_suffix(target: Target) -> str:
    """Return the domain of AWS's endpoints in the target's partition."""
    return "amazonaws.com.cn" if target.partition == "aws-cn" else "amazonaws.com"


def resolved(text: str, target: Target) -> str:
    """Return `text` with CDK's placeholders replaced by the target's values."""
    for placeholder, value in (
        ("${AWS::AccountId}", target.account),
        ("${AWS::Region}", target.region),
        ("${AWS::Partition}", target.partition),
        ("${AWS::URLSuffix}", url_suffix(target)),
    ):
        text = text.replace(placeholder, value)
    return text


def assets_bucket(target: Target) -> str:
    """Return the bucket for file assets that the target's bootstrap stack made."""
    return f"cdk-{target.qualifier}-assets-{target.account}-{target.region}"


def image_repository(target: Target) -> str:
    """Return the repository for images that the target's bootstrap stack made."""
    return f"cdk-{target.qualifier}-container-assets-{target.account}-{target.region}"


def with_target_names(template: Template, assets: Iterable[FileAsset | DockerImageAsset], target: Target) -> Template:
    """Return the template with the buckets, keys and repositories of `assets` and the bootstrap parameter as the target
    has them.
    """
    replacements: dict[str, str] = {}
    for asset in assets:
        if isinstance(asset, DockerImageAsset):
            for repository in (asset.repository, resolved(asset.repository, target)):
                replacements[repository] = image_repository(target)
            continue
        for bucket in (asset.bucket, resolved(asset.bucket, target)):
            replacements[bucket] = assets_bucket(target)
        if asset.key != resolved(asset.key, target):
            replacements[asset.key] = resolved(asset.key, target)
    renamed = with_whole_words(template, replacements)
    return _with_bootstrap_parameter(_without_idle_sub(renamed), target)


def with_target_places(parameters: Mapping[str, str], assets: Iterable[FileAsset], target: Target) -> dict[str, str]:
    """Return a stack's parameters with the bucket of `assets` and CDK's placeholders as the target has them."""
    buckets = {bucket for asset in assets for bucket in (asset.bucket, resolved(asset.bucket, target))}
    return {
        name: assets_bucket(target) if value in buckets else resolved(value, target)
        for name, value in parameters.items()
    }


def with_whole_words(value: Any, replacements: Mapping[str, str]) -> Any:
    """Return `value` with each name of `replacements` replaced wherever it is not part of a longer name."""
    words = {old: new for old, new in replacements.items() if old and old != new}
    if not words:
        return value
    names = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9_.-])(?:{names})(?![A-Za-z0-9_-])")
    return with_strings(value, lambda text: pattern.sub(lambda found: words[found[0]], text))


def _without_idle_sub(value: Any) -> Any:
    """Replace an `Fn::Sub` in which nothing is left to substitute by its text."""
    if isinstance(value, list):
        return [_without_idle_sub(item) for item in value]
    if isinstance(value, dict):
        text = value.get("Fn::Sub")
        if len(value) == 1 and isinstance(text, str) and "${" not in text:
            return text
        return {key: _without_idle_sub(item) for key, item in value.items()}
    return value


def _with_bootstrap_parameter(template: Template, target: Target) -> Template:
    parameters = dict(section(template, "Parameters"))
    for name, parameter in parameters.items():
        default = parameter.get("Default") if isinstance(parameter, dict) else None
        if isinstance(default, str) and _BOOTSTRAP_PARAMETER.fullmatch(default):
            parameters[name] = {**parameter, "Default": f"/cdk-bootstrap/{target.qualifier}/version"}
    return {**template, "Parameters": parameters} if parameters else template
