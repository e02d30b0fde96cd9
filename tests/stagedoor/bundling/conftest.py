"""A repository whose functions are bundled without network, and a cache that the tests of a file share."""

from pathlib import Path

import pytest

from stagedoor.bundling import requirements
from tests.stagedoor.bundling.project import Project


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("cache")).resolve()


@pytest.fixture
def project(tmp_path, cache, monkeypatch) -> Project:
    monkeypatch.setenv("STAGEDOOR_BUNDLING", "later")
    monkeypatch.setenv("STAGEDOOR_APP_FOLDER", ".")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    requirements.needed_by.cache_clear()
    root, assembly = tmp_path.resolve() / "repository", tmp_path.resolve() / "assembly"
    root.mkdir()
    assembly.mkdir()
    return Project(root, cache, assembly)
