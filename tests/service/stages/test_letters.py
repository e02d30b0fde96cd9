"""What a workflow's artifact says of itself is a stranger's: what no file can be is passed over, as it says there."""

import json
from pathlib import Path

import pytest

from service.stages.artifact import LETTER, open_letter

NAMES = {
    "long": "a" * 300,
    "deep": "x/" * 3000,
    **{name: name for name in ("loop", "link", "folder", "missing", "../outside", "/etc/passwd", "tool/x")},
    "NUL": "tool\0",
    "empty": "",
    "number": 7,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_that_cannot_be_run_is_passed_over(tmp_path: Path, name: object) -> None:
    directory = tmp_path / "assembly"
    (directory / "folder").mkdir(parents=True)
    outside, tool = tmp_path / "outside", directory / "tool"
    for file in (outside, tool):
        file.write_text("x")
        file.chmod(0o644)
    (directory / "loop").symlink_to("loop")
    (directory / "link").symlink_to("tool")
    (directory / LETTER).write_text(json.dumps({"executables": [name, "tool"]}))
    open_letter(directory, "pr-1")
    assert (tool.stat().st_mode & 0o777, outside.stat().st_mode & 0o777) == (0o755, 0o644)
    assert not (directory / LETTER).exists()
