"""What CloudFormation takes of a template at most is said before anything is changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.model import FileAsset, Packaging
from stagedoor.assembly.template_checks import TemplateOverLimits
from stagedoor.deploy.comparison.limits import check_limits
from tests.stagedoor.deploy.assemblies import parameter, stack, template


def many(count: int, **more: Any) -> dict[str, Any]:
    return template(**{f"Value{number}": parameter("x") for number in range(count)}) | more


def test_five_hundred_resources_are_taken_and_one_more_is_not(tmp_path: Path):
    check_limits(stack(tmp_path, "One", many(500)), many(500))
    with pytest.raises(TemplateOverLimits, match="The stack One has 501 resources; CloudFormation takes 500"):
        check_limits(stack(tmp_path, "One", many(501)), many(501))


def test_a_template_of_more_than_a_megabyte_is_not_taken(tmp_path: Path):
    long = template(Value=parameter("x" * 1_100_000))
    with pytest.raises(TemplateOverLimits, match=r"template of 1,100,\d+ bytes"):
        check_limits(stack(tmp_path, "One", long), long)


def test_a_nested_stack_is_held_to_the_same(tmp_path: Path):
    inner = stack(tmp_path, "Inner", many(501)).template_path
    asset = FileAsset("0" * 64, inner, Packaging.FILE, "bucket", "key", display_name="Inner", is_template=True)
    outer = replace(stack(tmp_path, "One", many(1)), assets=(asset,))
    with pytest.raises(TemplateOverLimits, match="The nested stack Inner has 501 resources"):
        check_limits(outer, many(1))
