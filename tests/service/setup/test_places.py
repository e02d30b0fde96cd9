"""Which GitHub the App is made on: credentials come from it, so it is asked over TLS, and at its own address."""

import subprocess
import sys

import pytest

from service.setup.manifest import Place
from service.setup.page import Page, Wanted
from service.setup.states import States

SERVICE = "https://stagedoor.example.com"


@pytest.mark.parametrize(
    ("base", "web", "api"),
    [
        ("https://github.com/", "https://github.com", "https://api.github.com"),
        ("https://www.github.com", "https://github.com", "https://api.github.com"),
        ("https://acme.ghe.com", "https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("https://github.acme.example/", "https://github.acme.example", "https://github.acme.example/api/v3"),
        ("https://acme.example/github", "https://acme.example/github", "https://acme.example/github/api/v3"),
    ],
)
def test_each_github_has_its_api(base: str, web: str, api: str) -> None:
    assert Place.of(base) == Place(web, api)


@pytest.mark.parametrize(
    "base", ["http://github.acme.example", "github.com", "ftp://github.com", "https://", "https://github.com?x=1"]
)
def test_no_credentials_are_fetched_in_the_clear_or_from_nowhere(base: str, tmp_path) -> None:
    command = [sys.executable, "-m", "stagedoor.cli", "setup", "--no-browser", "--url", SERVICE]
    command += ["--github", base, "--store", str(tmp_path / "x.env")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "--github" in done.stderr
    assert done.stdout == ""


def test_the_page_lets_its_form_go_to_a_github_under_a_path() -> None:
    page = Page(Wanted(Place.of("https://acme.example/github"), "", "Stagedoor", SERVICE), States(lambda: 0.0), str)
    try:
        # A source with a path and no slash at its end is that path alone: https://www.w3.org/TR/CSP3/#match-paths
        assert "form-action 'self' https://acme.example;" in page.headers()["Content-Security-Policy"]
    finally:
        page.close()
