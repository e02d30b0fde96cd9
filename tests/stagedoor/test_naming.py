"""Names of stages: what may become part of a stack's name, and what may not."""

import pytest

from stagedoor.naming import InvalidStageName, check_stage_name


@pytest.mark.parametrize("name", ["prod", "pr-7", "a", "a" * 40])
def test_what_can_name_a_stage(name: str) -> None:
    assert check_stage_name(name) == name


@pytest.mark.parametrize("name", ["", "Prod", "7", "-a", "a_b", "a" * 41, "prod\n", "prod\n\n", "prod ", "präd"])
def test_what_cannot(name: str) -> None:
    with pytest.raises(InvalidStageName, match="cannot name a stage"):
        check_stage_name(name)
