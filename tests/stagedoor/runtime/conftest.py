from collections.abc import Iterator

import pytest

from demo.aws.server import LocalAws


@pytest.fixture(scope="session")
def runtime_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws
