"""What CloudFormation takes of a template at most, asked of what is sent: rewriting may have made it larger.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
"""

import json
from collections.abc import Mapping
from typing import Any

from stagedoor.assembly.model import Stack
from stagedoor.assembly.template_checks import SECTION_LIMITS, TemplateOverLimits

TEMPLATE_BYTES = 1_048_576


def check_limits(stack: Stack, template: Mapping[str, Any]) -> None:
    """Raise `TemplateOverLimits` where a stack, or one nested in it, is over a limit that no quota raises."""
    _check(f"The stack {stack.own_name}", template, stack.template_path.stat().st_size)
    for asset in stack.assets:
        if getattr(asset, "is_template", False):
            text = asset.source.read_bytes()
            _check(f"The nested stack {asset.display_name or asset.source.name}", json.loads(text), len(text))


def _check(who: str, template: Mapping[str, Any], size: int) -> None:
    for section, limit in SECTION_LIMITS.items():
        count = len(template.get(section, {}))
        if count > limit:
            raise TemplateOverLimits(
                f"{who} has {count} {section.lower()}; CloudFormation takes {limit}.",
                "Split it into several stacks, or move parts of it into nested ones.",
            )
    if size > TEMPLATE_BYTES:
        raise TemplateOverLimits(
            f"{who} has a template of {size:,} bytes; CloudFormation takes {TEMPLATE_BYTES:,}.",
            "Split it into several stacks, or move what is written in it (code, policies) into assets.",
        )
