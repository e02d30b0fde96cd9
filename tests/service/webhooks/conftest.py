"""The real application on a real database, without a network between it and the test."""

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.app import create_app
from service.database import Sessions
from tests.service.webhooks.deliveries import OLD_SECRET, SECRET


@pytest.fixture
def operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The environment as an operator sets it; without a database yet."""
    for name, value in {
        "DATA_DIR": str(tmp_path),
        "GITHUB_APP_ID": "1",
        "GITHUB_PRIVATE_KEY": "unused here",
        "GITHUB_WEBHOOK_SECRETS": f"{SECRET},{OLD_SECRET}",
    }.items():
        monkeypatch.setenv(f"STAGEDOOR_{name}", value)
    return monkeypatch


@pytest.fixture
def client(operator: pytest.MonkeyPatch, database: Sessions, database_url: str) -> FlaskClient:
    """Speaks to the service, once on SQLite and once on PostgreSQL."""
    operator.setenv("STAGEDOOR_DATABASE_URL", database_url)
    return create_app().test_client()


@pytest.fixture
def postgres_app(operator: pytest.MonkeyPatch, postgres: Sessions, postgres_url: str) -> Flask:
    """The service on PostgreSQL, for many clients at once."""
    operator.setenv("STAGEDOOR_DATABASE_URL", postgres_url)
    return create_app()
