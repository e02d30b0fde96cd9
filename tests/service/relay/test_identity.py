"""Who a bridge is, by STS; and the doors that stay shut."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests

from service.access.tokens import FunctionToken
from service.relay.identity import Caller, Identities, IdentityRefused, IdentityUnknown, caller_of, check_url, proves

QUERY = {
    "Action": "GetCallerIdentity",
    "Version": "2011-06-15",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "ASIA/20260101/eu-central-1/sts/aws4_request",
    "X-Amz-Date": "20260101T000000Z",
    "X-Amz-Expires": "60",
    "X-Amz-Security-Token": "t",
    "X-Amz-SignedHeaders": "host;x-stagedoor-server",
    "X-Amz-Signature": "0" * 64,
}


def url(host="https://sts.eu-central-1.amazonaws.com", path="/", **changed):
    return f"{host}{path}?{urlencode({**QUERY, **changed})}"


@pytest.mark.parametrize(
    "host",
    [
        "https://sts.amazonaws.com",
        "https://sts.eu-central-1.amazonaws.com",
        "https://sts.us-gov-west-1.amazonaws.com",
        "https://sts-fips.us-east-1.amazonaws.com",
        "https://sts.cn-north-1.amazonaws.com.cn",
        "https://sts.eu-central-1.api.aws",
        "https://sts.us-iso-east-1.c2s.ic.gov",
        "https://sts.us-isob-east-1.sc2s.sgov.gov",
        "https://sts.eusc-de-east-1.amazonaws.eu",
    ],
)
def test_stss_own_hosts_are_asked(host):
    check_url(url(host))


@pytest.mark.parametrize(
    "wrong",
    [
        url("http://sts.amazonaws.com"),
        url("https://sts.amazonaws.com.evil.example"),
        url("https://evil.example/sts.amazonaws.com"),
        url("https://sts.amazonaws.com:8443"),
        url("https://me@sts.amazonaws.com"),
        url("https://sts.eu-central-1.amazonaws.com", path="/else"),
        url("http://127.0.0.1:4566"),
        url("https://s3.amazonaws.com"),
        url("https://sts.evil.example"),
        url(Action="AssumeRole"),
        url(RoleArn="arn:aws:iam::1:role/x"),
        url() + "&Action=AssumeRole",
        url(**{"X-Amz-SignedHeaders": "host"}),
        url(**{"X-Amz-Expires": "86400"}),
        url() + "#x",
        "https://[",
        "",
    ],
)
def test_nothing_else_is_asked(wrong):
    with pytest.raises(IdentityRefused):
        check_url(wrong)


def test_the_local_aws_is_asked_only_where_there_is_one():
    check_url(url("http://127.0.0.1:4566"), "http://127.0.0.1:4566")
    with pytest.raises(IdentityRefused):
        check_url(url("http://127.0.0.1:4567"), "http://127.0.0.1:4566")


@pytest.mark.parametrize(
    ("arn", "local", "proven"),
    [
        ("arn:aws:sts::000000000001:assumed-role/notes/notes-list", False, True),
        ("arn:aws-cn:sts::000000000001:assumed-role/notes/notes-list", False, True),
        ("arn:aws:sts::000000000002:assumed-role/notes/notes-list", False, False),
        ("arn:aws:sts::000000000001:assumed-role/other/notes-list", False, False),
        ("arn:aws:sts::000000000001:assumed-role/notes/other", True, False),
        ("arn:aws:iam::000000000001:root", False, False),
        ("arn:aws:iam::000000000001:root", True, True),
        ("arn:aws:iam::000000000002:root", True, False),
    ],
)
def test_role_function_and_account_must_be_the_registered_ones(arn, local, proven):
    role = "arn:aws:iam::000000000001:role/service-role/notes"
    assert proves(caller_of(arn), "notes-list", role, "000000000001", local=local) is proven


class Sts(BaseHTTPRequestHandler):
    """An STS that says who signed by the path of its credential, and follows what the tests script."""

    status, arn, asked = 200, "arn:aws:iam::000000000001:root", []

    def do_GET(self):
        self.asked.append((self.path, dict(self.headers)))
        body = f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{self.arn}</Arn>".encode()
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def sts(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Sts)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setattr(Sts, "asked", [])
    yield endpoint
    server.shutdown()
    thread.join()
    server.server_close()


async def caller(presigned):
    identities = Identities("relay.example.com")
    try:
        return await identities.caller(presigned)
    finally:
        await identities.close()


def test_sts_is_asked_as_it_was_signed_and_told_who_asks(sts):
    assert asyncio.run(caller(url(sts))) == Caller("000000000001", None, None)
    path, headers = Sts.asked[0]
    assert dict(parse_qsl(urlsplit(path).query)) == QUERY
    assert headers["x-stagedoor-server"] == "relay.example.com"


@pytest.mark.parametrize(("status", "error"), [(403, IdentityRefused), (302, IdentityRefused), (500, IdentityUnknown)])
def test_what_sts_does_not_confirm_is_nobody(sts, monkeypatch, status, error):
    monkeypatch.setattr(Sts, "status", status)
    with pytest.raises(error):
        asyncio.run(caller(url(sts)))
    assert len(Sts.asked) == 1  # redirects are not followed


def test_a_bridge_gets_a_token_for_its_function_alone(sts, door):
    def token(function="notes-list", stage=door.stage_id, presigned=None):
        said = {"function": function, "stage": str(stage), "url": presigned or url(sts)}
        return requests.post(f"{door.url}/live/token", data=json.dumps(said), timeout=20)

    answer = token()
    assert door.tokens.verify(answer.json()["token"], FunctionToken) == FunctionToken(door.stage_id, "notes-list")
    assert answer.json()["live"] is False
    assert token("other").status_code == 404
    assert token(stage=99).status_code == 404
    assert token(presigned=url("https://evil.example")).status_code == 403
    assert requests.post(f"{door.url}/live/token", data="[]", timeout=20).status_code == 400


def test_doors_are_shut_without_the_right_token(door):
    stage, function = door.stage_token(), door.function_token()
    for method, path, wrong in [
        ("POST", "/live/attempts/r-1.1", stage),
        ("GET", "/live/presence", stage),
        ("PUT", "/live/sandboxes/s", stage),
        ("GET", f"/live/stages/{door.stage_id}/invocations", function),
        ("POST", "/live/invocations/1/replay", function),
        ("GET", f"/live/stages/{door.stage_id + 1}/invocations", stage),
    ]:
        for token in (wrong, "", "x"):
            headers = {"Authorization": f"Bearer {token}"}
            assert requests.request(method, door.url + path, headers=headers, timeout=20).status_code == 401, path
