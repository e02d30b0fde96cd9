"""Where in a repository a resource was asked for, and nothing of what lies outside of it."""

from pathlib import Path

import pytest

from stagedoor.assembly.schema import MetadataEntry
from stagedoor.assembly.source_places import source_places
from stagedoor.errors import Location


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "repository"
    for file in ("lib/shop.ts", "bin/app.ts", "node_modules/kit/kit.js"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")
    (tmp_path / "secret.ts").write_text("")
    (root / "out.ts").symlink_to(tmp_path / "secret.ts")
    return root


def places(root: Path | None, *frames: object) -> dict[str, Location]:
    entries = [
        MetadataEntry(type="aws:cdk:logicalId", data="Queue"),
        MetadataEntry(type="aws:cdk:creationStack", data=list(frames)),
    ]
    return source_places({"/Shop/Queue/Resource": entries}, root)


def test_the_innermost_frame_of_the_apps_own(repository: Path):
    found = places(
        repository,
        "...new Queue2 in aws-cdk-lib...",
        f"new Kit ({repository}/node_modules/kit/kit.js:1:2)",
        f"new Shop ({repository}/lib/shop.ts:12:5)",
        f"app ({repository}/bin/app.ts:3:1)",
    )
    assert found == {"Queue": Location("lib/shop.ts", 12, 5)}


@pytest.mark.parametrize(
    "frame", ["{root}/../secret.ts:1:1", "{root}/out.ts:1:1", "{root}/gone.ts:1:1", "/:1:1", "x", 7]
)
def test_what_is_not_a_file_of_the_repository_is_no_place(repository: Path, frame: object):
    text = frame.format(root=repository) if isinstance(frame, str) else frame
    assert places(repository, text) == {}


def test_without_a_repository_there_are_no_places(repository: Path):
    assert places(None, f"new Shop ({repository}/lib/shop.ts:12:5)") == {}
