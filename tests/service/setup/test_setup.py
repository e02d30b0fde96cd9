"""The App is made by a browser's steps, and its credentials go into the store and nowhere else."""

import http.client
import json
import re
import stat
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from html import unescape
from urllib.parse import urlencode, urlsplit

import boto3
import jwt
import pytest

from demo.aws.server import LocalAws
from demo.github.server import LocalGitHub
from demo.github.world import EVENTS, PERMISSIONS
from infra.secrets import NAMES, variable
from service.settings import Settings
from service.setup.command import values
from service.setup.manifest import EVENTS as ASKED_EVENTS
from service.setup.manifest import PERMISSIONS as ASKED_PERMISSIONS
from service.setup.manifest import Place
from service.setup.page import Page, Wanted
from service.setup.states import StateRefused, States
from service.setup.stores import StoreUnusable, open_store

SERVICE = "https://stagedoor.example.com"


@pytest.fixture(scope="module")
def github():
    with LocalGitHub() as running:
        yield running


def found(pattern, text):
    """Return the first group of the pattern in the text, or all of what it matches."""
    match = re.search(pattern, text)
    assert match, text
    return match[match.lastindex or 0]


class Browser:
    """A browser with one cookie jar: what it is told to open, it opens, redirects included."""

    def __init__(self):
        self.cookie = ""

    def get(self, url, **headers):
        return self.send("GET", url, None, {"Cookie": self.cookie, **headers})

    def send(self, method, url, body, headers):
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.netloc, timeout=10)
        try:
            target = where.path + (f"?{where.query}" if where.query else "")
            connection.request(method, target or "/", body, {name: value for name, value in headers.items() if value})
            answer = connection.getresponse()
            if cookie := answer.getheader("Set-Cookie"):
                self.cookie = cookie.partition(";")[0]
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def press_create(self, page):
        """Press the button of the page, and return the address that GitHub sends the browser back to."""
        _, _, text = self.get(page)
        action = unescape(found(r'action="([^"]+)"', text))
        form = urlencode({"manifest": unescape(found(r'name="manifest" value="([^"]+)"', text))})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, said, _ = self.send("POST", action, form, headers)
        assert status == 302
        return said["Location"]


@contextmanager
def setup(github, tmp_path, *options):
    """Run the command, and yield its process and the page's address."""
    command = [sys.executable, "-m", "stagedoor.cli", "setup", "--no-browser", "--url", SERVICE, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        yield process, found(r"http://127\.0\.0\.1:\d+\S*", process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_the_credentials_go_into_files_of_mode_0600_and_the_service_starts_with_them(github, tmp_path, monkeypatch):
    store = tmp_path / "stagedoor.env"
    options = ("--organization", "acme", "--github", github.web_url, "--store", str(store))
    with setup(github, tmp_path, *options) as (process, page):
        browser = Browser()
        status, headers, last = browser.get(browser.press_create(page))
        said, complaints = process.communicate(timeout=20)
    assert (status, process.returncode) == (200, 0)
    assert "/installations/new" in last
    for path in (store, store.with_suffix(".pem")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = f"{headers}{last}{said}{complaints}"
    key = github.private_key.splitlines()[1]
    for secret in (key, github.webhook_secret):
        assert secret not in shown
    for line in store.read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("STAGEDOOR_GITHUB_API_URL", github.api_url)  # the local GitHub is at its root, not under /api/v3
    settings = Settings()
    settings.check()
    assert settings.url == SERVICE
    assert settings.webhook_secrets == (github.webhook_secret,)
    request = urllib.request.Request(f"{github.api_url}/app", headers={"Authorization": f"Bearer {signed(settings)}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer)["id"] == github.app_id


def signed(settings):
    """Return what an App shows GitHub to say that it is itself."""
    claims = {"iss": str(settings.github_app_id), "iat": int(time.time()) - 5, "exp": int(time.time()) + 300}
    return jwt.encode(claims, settings.private_key, "RS256")


def test_the_manifest_asks_for_what_the_service_uses_and_nothing_else(github, tmp_path):
    assert (ASKED_PERMISSIONS, sorted(ASKED_EVENTS)) == (PERMISSIONS, sorted(EVENTS))
    with setup(github, tmp_path, "--github", github.web_url, "--store", "x.env") as (_process, page):
        Browser().press_create(page)
    made = github.manifests[-1]
    assert made["hook_attributes"] == {"url": f"{SERVICE}/webhooks/github", "active": True}
    assert made["public"] is False


def test_the_page_answers_its_own_address_alone(github, tmp_path):
    with setup(github, tmp_path, "--github", github.web_url, "--store", "x.env") as (_process, page):
        browser = Browser()
        assert browser.get(page, Host="rebound.example.com")[0] == 403
        assert browser.get(page, Origin="https://evil.example.com")[0] == 403
        assert browser.get(f"{page}/elsewhere")[0] == 404
        _, headers, _ = browser.get(page)
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"


def test_a_forged_foreign_stale_or_used_state_is_refused_and_its_code_never_exchanged():
    codes, now = [], [1000.0]

    def exchanged(code):
        codes.append(code)
        return "x"

    page = Page(Wanted(Place(), "", "Stagedoor", SERVICE), States(lambda: now[0], 60), exchanged)
    try:
        own, _, key = page.url.removeprefix("http://").partition("/")

        def back(state, cookie):
            return page.answer(f"/created?code=abc&state={state}", {"Host": own, "Cookie": cookie})[0]

        _, headers, body = page.answer(f"/{key}", {"Host": own})
        state, cookie = found(r"state=([^&\"]+)", body), headers["Set-Cookie"].partition(";")[0]
        other_state, other_cookie = States(lambda: now[0], 60).make(cookie.partition("=")[2]), f"{cookie}x"
        forged = state[:-4] + "0000"
        later = re.sub(r"\.(\d+)\.", lambda found: f".{int(found[1]) + 9999}.", state)
        assert {back(each, cookie) for each in ("", "x", forged, later, other_state)} == {403}
        assert {back(state, each) for each in ("", other_cookie)} == {403}
        now[0] += 61
        assert back(state, cookie) == 403
        now[0] -= 61
        assert codes == []
        assert back(state, cookie) == 200
        assert back(state, cookie) == 403
        assert codes == ["abc"]
    finally:
        page.close()


def test_a_state_is_of_its_run():
    with pytest.raises(StateRefused):
        States(lambda: 0.0).use(States(lambda: 0.0).make("b"), "b")


def test_what_is_there_is_not_overwritten_and_nothing_is_asked_of_github(tmp_path):
    store = tmp_path / "stagedoor.env"
    store.write_text("STAGEDOOR_GITHUB_APP_ID=1\n")
    command = [sys.executable, "-m", "stagedoor.cli", "setup", "--url", SERVICE, "--store", str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "--replace" in done.stderr
    assert "127.0.0.1" not in done.stdout
    with pytest.raises(StoreUnusable):
        open_store("vault:x", replace=False)


def test_a_code_that_github_does_not_know_ends_the_command_without_it(github, tmp_path):
    with setup(github, tmp_path, "--github", github.web_url, "--store", "x.env") as (process, page):
        browser = Browser()
        back = re.sub(r"code=\w+", "code=0123456789unknown", browser.press_create(page))
        status, _, shown = browser.get(back)
        _, complaints = process.communicate(timeout=20)
    assert (status, process.returncode) == (502, 1)
    assert "404" in complaints
    assert "0123456789unknown" not in f"{shown}{complaints}"
    assert not (tmp_path / "x.env").exists()


def test_the_parameter_store_and_secrets_manager_keep_them_too(tmp_path, monkeypatch):
    wanted = Wanted(Place.of("https://github.example.com/"), "", "Stagedoor", SERVICE)
    said = values(wanted, 4711, "-----BEGIN-----\nx\n-----END-----\n", "a" * 40)
    assert said["STAGEDOOR_GITHUB_API_URL"] == "https://github.example.com/api/v3"
    with LocalAws(tmp_path) as aws:
        for name, value in aws.environment().items():
            monkeypatch.setenv(name, value)
        for place in ("ssm:/stagedoor/service/prod", "secretsmanager:stagedoor"):
            store = open_store(place, replace=False)
            store.check()
            store.put(said)
            with pytest.raises(StoreUnusable):
                store.check()
            open_store(place, replace=True).put(said)
        ssm = boto3.Session().client("ssm")
        found = ssm.get_parameters_by_path(Path="/stagedoor/service/prod", WithDecryption=True)["Parameters"]
        kept = {each["Name"].rpartition("/")[2]: (each["Type"], each["Value"]) for each in found}
        assert {kept[name] for name in NAMES} == {("SecureString", said[variable(name)]) for name in NAMES}
        (secret,) = boto3.Session().client("secretsmanager").list_secrets()["SecretList"]
        assert (
            json.loads(
                boto3.Session().client("secretsmanager").get_secret_value(SecretId=secret["ARN"])["SecretString"]
            )
            == said
        )


def test_the_page_is_of_the_one_browser_that_was_told_its_address(github, tmp_path):
    """Whoever is on this machine reaches its loopback: another user could otherwise have us keep an App of theirs."""
    with setup(github, tmp_path, "--github", github.web_url, "--store", "x.env") as (_process, page):
        stranger, own = Browser(), Browser()
        port_alone = page[: page.index("/", len("http://"))]
        for address in (port_alone, f"{port_alone}/", f"{page}x"):
            status, headers, text = stranger.get(address)
            assert (status, headers.get("Set-Cookie"), "state=" in text) == (404, None, False)
        assert own.get(page)[0] == own.get(page)[0] == 200
        status, headers, text = stranger.get(page)  # the address is in the browser's command line, which anybody reads
        assert (status, headers.get("Set-Cookie"), "state=" in text) == (403, None, False)
