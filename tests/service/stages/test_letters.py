"""What a workflow's artifact says of itself is a stranger's: what no file can be is passed over, as it says there."""

import json
from pathlib import Path

import pytest

from service.stages.artifact import LETTER, LETTER_BYTES, LetterTooLong, open_letter

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


def test_a_letter_that_is_too_long_to_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """Passed over, the programs that it names would be deployed without the right to be run."""
    names = [f"asset.{number:064}/bin/{number:064}" for number in range(LETTER_BYTES // 130)]
    (tmp_path / LETTER).write_text(json.dumps({"executables": names}))
    with pytest.raises(LetterTooLong) as refused:
        open_letter(tmp_path, "pr-1")
    assert (refused.value.id, f"{LETTER_BYTES:,}" in refused.value.what) == ("artifact-letter-too-long", True)
    (tmp_path / LETTER).write_text(json.dumps({"executables": names[:20_000], "stage": "pr-1"}))
    open_letter(tmp_path, "pr-1")
