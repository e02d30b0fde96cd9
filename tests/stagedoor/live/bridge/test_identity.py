"""The proof of who a sandbox is, as botocore signs it, made by the bridge in each language."""

import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from stagedoor.live.bridge import identity

BRIDGE = Path(identity.__file__).parent
NOW = 1_790_000_000.0
HELD = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "se/cr+et=", "Token": "to/k+e n=é"}


def call(language: str, function: str, *calls: list[Any]) -> list[Any]:
    """Call a function of identity.py, or the one of the same name in identity.mjs, with each of these arguments."""
    if language == "python":
        return [getattr(identity, function)(*arguments) for arguments in calls]
    program = (
        f"import * as identity from '{BRIDGE}/identity.mjs'; const said = [];"
        f"for (const call of {json.dumps(calls)}) said.push(await identity.{function}(...call));"
        "console.log(JSON.stringify(said))"
    )
    done = subprocess.run(["node", "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


@pytest.fixture(params=["python", "node"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LOCAL = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
ENDPOINTS: list[tuple[str, dict[str, str], str]] = [
    ("eu-central-1", {}, "https://sts.eu-central-1.amazonaws.com/"),
    ("cn-north-1", {}, "https://sts.cn-north-1.amazonaws.com.cn/"),
    ("us-gov-west-1", {"AWS_ENDPOINT_URL": ""}, "https://sts.us-gov-west-1.amazonaws.com/"),
    ("eusc-de-east-1", {}, "https://sts.eusc-de-east-1.amazonaws.eu/"),
    ("us-east-1", LOCAL, "http://127.0.0.1:4566/"),
    ("us-east-1", {**LOCAL, "AWS_ENDPOINT_URL_STS": "https://vpce-1.sts.example/"}, "https://vpce-1.sts.example/"),
]


def test_the_proof_is_signed_as_botocore_signs_it_for_the_regions_own_endpoint(language):
    server, at = "relay.example:8321", NOW if language == "python" else NOW * 1000
    calls = [[environment, HELD, region, server, at] for region, environment, _ in ENDPOINTS]
    for url, (region, _, endpoint) in zip(call(language, "presigned", *calls), ENDPOINTS, strict=True):
        assert url.startswith(endpoint + "?Action=GetCallerIdentity")
        request = AWSRequest("GET", endpoint, params={"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        request.headers["x-stagedoor-server"] = server
        request.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(NOW))
        held = Credentials(HELD["AccessKeyId"], HELD["SecretAccessKey"], HELD["Token"])
        botocore = SigV4QueryAuth(held, "sts", region, expires=60)
        botocore._modify_request_before_signing(request)  # type: ignore[attr-defined]
        wanted = parse_qs(urlsplit(str(request.url)).query)
        text = botocore.string_to_sign(request, botocore.canonical_request(request))
        assert parse_qs(urlsplit(url).query) == {**wanted, "X-Amz-Signature": [botocore.signature(text, request)]}


def test_credentials_are_read_where_lambda_puts_them(language):
    environment = {
        "AWS_ACCESS_KEY_ID": "A",
        "AWS_SECRET_ACCESS_KEY": "S",
        "AWS_SESSION_TOKEN": "T",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/",
    }
    held = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"}
    assert call(language, "credentials", [environment], [{}]) == [held, {}]


def test_a_snapstarts_credentials_come_from_the_endpoint_that_the_environment_names(language, container_credentials):
    url, asked = container_credentials
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me"}
    (held,) = call(language, "credentials", [environment])
    assert held == {
        "AccessKeyId": "A",
        "SecretAccessKey": "S",
        "Token": "T",
        "Expiration": "2026-01-01T00:00:00Z",
    }
    assert asked == ["let me"]


@pytest.fixture
def container_credentials():
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers["Authorization"])
            named = {"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2026-01-01T00:00:00Z"}
            body = json.dumps({**named, "RoleArn": "r"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/2021-04-23/credentials", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_sandbox_is_another_when_its_credentials_are(language):
    environment = {"AWS_LAMBDA_FUNCTION_NAME": "notes", "TABLE": "t", "STAGEDOOR_LIVE_STAGE": "7"}
    helds = [HELD, HELD, {**HELD, "Token": "another"}]
    (first, document), (again, _), (other, _) = call(language, "sandbox", *([environment, held] for held in helds))
    assert first == again != other
    assert document["environment"] == {"AWS_LAMBDA_FUNCTION_NAME": "notes", "TABLE": "t"}
