"""Who this sandbox is: its settings, its role's credentials, and the proof of them that serves one relay alone."""

from __future__ import annotations

import json
import time

from stagedoor.live.bridge.named_tuple import TYPE_CHECKING, NamedTuple
from stagedoor.live.bridge.wire import Broken, Head, Origin, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from hashlib import sha256
    from typing import Any
else:
    # hashlib loads OpenSSL and much else that is not asked for here.
    try:
        from _sha2 import sha256
    except ImportError:
        try:
            from _sha256 import sha256  # before Python 3.12
        except ImportError:
            from hashlib import sha256

SETTINGS = "STAGEDOOR_LIVE_"
"""What the environment variables of a bridge begin with; neither the deployed code nor a developer sees them."""

PROOF_S = 60
"""How long a presigned `GetCallerIdentity` is valid."""

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
"""Environment variables that hold the role's credentials, and so do not travel as environment."""

_DOMAINS = (
    ("cn-", "amazonaws.com.cn"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
)


class Settings(NamedTuple):
    """What the rewriting of the assembly has put into the function's environment, and what Lambda has."""

    server: str
    stage: str
    function: str
    region: str
    timeout_s: float
    wrapper: str
    runtime_api: str

    @staticmethod
    def of(environment: Mapping[str, str]) -> Settings:
        """Read them. Raises `KeyError` where one that must be there is not, `ValueError` for a timeout that is none."""
        return Settings(
            server=environment[SETTINGS + "SERVER"],
            stage=environment[SETTINGS + "STAGE"],
            function=environment["AWS_LAMBDA_FUNCTION_NAME"],
            region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
            timeout_s=float(environment[SETTINGS + "TIMEOUT"]),
            wrapper=environment.get(SETTINGS + "WRAPPER", ""),
            runtime_api=environment["AWS_LAMBDA_RUNTIME_API"],
        )


def original(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it would be without a bridge in it."""
    before = {name: value for name, value in environment.items() if not name.startswith(SETTINGS)}
    before.pop("AWS_LAMBDA_EXEC_WRAPPER", None)
    if environment.get(SETTINGS + "WRAPPER"):
        before["AWS_LAMBDA_EXEC_WRAPPER"] = environment[SETTINGS + "WRAPPER"]
    if SETTINGS + "NODE_OPTIONS" in environment:
        before["NODE_OPTIONS"] = environment[SETTINGS + "NODE_OPTIONS"]
    return before


def credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the role's credentials in a container's shape: `AccessKeyId`, `SecretAccessKey`, `Token`, `Expiration`.

    From the environment, where Lambda puts them once per sandbox; with SnapStart from the container endpoint that it
    names instead (https://docs.aws.amazon.com/lambda/latest/dg/snapstart-activate.html), where they have an end.
    Raises `NotReached` or `Broken`.
    """
    if environment.get("AWS_ACCESS_KEY_ID"):
        named = zip(("AccessKeyId", "SecretAccessKey", "Token"), CREDENTIALS)  # noqa: B905 — Python 3.9 has no strict
        return {name: environment[variable] for name, variable in named if environment.get(variable)}
    url = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not url:
        return {}
    origin = Origin(url)
    connection = origin.connected(1.0)
    try:
        connection.silence(2.0)
        token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        connection.send(
            Head(
                f"GET {origin.path} HTTP/1.1",
                [("Host", origin.named), ("Authorization", token), ("Connection", "close")],
            )
        )
        document = json.loads(connection.whole(connection.head()))
    except ValueError:
        raise Broken("the credentials' endpoint") from None
    finally:
        connection.close()
    return {
        name: document[name] for name in ("AccessKeyId", "SecretAccessKey", "Token", "Expiration") if name in document
    }


def sandbox(environment: Mapping[str, str], held: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the sandbox's id, and what the relay is told of it: its environment and credentials, and what it is."""
    plain = {name: value for name, value in original(environment).items() if name not in CREDENTIALS}
    document: dict[str, Any] = {
        "function": environment["AWS_LAMBDA_FUNCTION_NAME"],
        "environment": plain,
        "credentials": dict(held),
        "memory_mb": int(environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or 128),
        "runtime": environment.get("AWS_EXECUTION_ENV", "").replace("AWS_Lambda_", ""),
    }
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32], document


def presigned(environment: Mapping[str, str], held: Mapping[str, str], region: str, server: str, now: float) -> str:
    """Return the URL of a `GetCallerIdentity` signed by the role, good for the relay at `server` (a host) alone.

    SigV4 in the query (https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html), with the header
    `x-stagedoor-server` among what is signed: another server's would not match.
    """
    endpoint = _endpoint(environment, region)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/sts/aws4_request"
    query = {
        "Action": "GetCallerIdentity",
        "Version": "2011-06-15",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{held.get('AccessKeyId', '')}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(PROOF_S),
        "X-Amz-SignedHeaders": "host;x-stagedoor-server",
    }
    if held.get("Token"):
        query["X-Amz-Security-Token"] = held["Token"]
    asked = "&".join(f"{quoted(name)}={quoted(query[name])}" for name in sorted(query))
    request = "\n".join(
        ["GET", f"{endpoint.path}/", asked, f"host:{endpoint.named}", f"x-stagedoor-server:{server}", "",
         "host;x-stagedoor-server", sha256(b"").hexdigest()]
    )  # fmt: skip
    signed = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + held.get("SecretAccessKey", "").encode()
    for part in [*scope.split("/"), signed]:
        key = _hmac(key, part.encode())
    scheme = "https" if endpoint.secure else "http"
    return f"{scheme}://{endpoint.named}{endpoint.path}/?{asked}&X-Amz-Signature={key.hex()}"


def _hmac(key: bytes, message: bytes) -> bytes:
    """HMAC with SHA-256 (RFC 2104). The standard library's module loads more than it does."""
    block = (key if len(key) <= 64 else sha256(key).digest()).ljust(64, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in block) + message).digest()
    return sha256(bytes(byte ^ 0x5C for byte in block) + inner).digest()


def _endpoint(environment: Mapping[str, str], region: str) -> Origin:
    """The regional endpoint of STS, or the one that the environment names (an emulator, a VPC endpoint)."""
    named = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    if named:
        return Origin(named)
    domain = next((domain for prefix, domain in _DOMAINS if region.startswith(prefix)), "amazonaws.com")
    return Origin(f"https://sts.{region}.{domain}")
