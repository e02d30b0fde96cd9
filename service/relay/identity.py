"""Which function a bridge stands for: proven by a presigned `sts:GetCallerIdentity`, which only its role can make.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html. The relay calls the URL, so it decides
where it calls: STS's own hosts, or the local AWS where the service works on one.
"""

import asyncio
import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from yarl import URL

from service.settings import LOOPBACK

SERVER_HEADER = "x-stagedoor-server"
SECONDS = 3.0
LONGEST_VALIDITY = 300
"""Seconds; bridges ask for 60."""

# The domains of AWS's partitions, as botocore's endpoints.json has them.
_DOMAINS = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "api.aws",
    "api.amazonwebservices.com.cn",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
    "amazonaws.eu",
)
_HOST = re.compile(r"sts(-fips)?(\.[a-z]{2,4}(-[a-z]+)+-\d)?\.(" + "|".join(map(re.escape, _DOMAINS)) + ")")
_PARAMETERS = frozenset(
    {
        "Action",
        "Version",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    }
)
_ARN = re.compile(r"<Arn>\s*([^<\s]+)\s*</Arn>")
_MOST_BYTES = 16 * 1024


class IdentityRefused(Exception):
    """The URL does not prove what it must; the message may be shown to whoever sent it."""


class IdentityUnknown(Exception):
    """STS did not answer; the same URL may be sent again."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed. `function` is None where a local AWS does not say: then only the account is proven."""

    account: str
    role: str | None
    function: str | None


def check_url(url: str, local_endpoint: str = "") -> None:
    """Raise `IdentityRefused` unless this is a presigned GET of GetCallerIdentity that says whom it is for, at an STS
    of AWS or at `local_endpoint`. That it is for us STS sees: we send our own name, which must be the signed one.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise IdentityRefused("not a URL") from None
    local = bool(local_endpoint) and f"{parts.scheme}://{parts.netloc}" == local_endpoint.rstrip("/")
    host = parts.hostname or ""
    if not local and (
        parts.scheme != "https" or port not in {None, 443} or not _HOST.fullmatch(host) or "@" in parts.netloc
    ):
        raise IdentityRefused("not an STS of AWS")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if parts.path not in {"", "/"} or parts.fragment or len(query) != len(pairs) or not set(query) <= _PARAMETERS:
        raise IdentityRefused("not a GetCallerIdentity")
    if query.get("Action") != "GetCallerIdentity":
        raise IdentityRefused("not a GetCallerIdentity")
    if not {"host", SERVER_HEADER} <= set(query.get("X-Amz-SignedHeaders", "").split(";")):
        raise IdentityRefused(f"not signed with {SERVER_HEADER}, so it could be for anybody")
    expires = query.get("X-Amz-Expires", "")
    if not expires.isdecimal() or int(expires) > LONGEST_VALIDITY:
        raise IdentityRefused("valid for too long")


def caller_of(arn: str) -> Caller:
    """Return who an ARN of GetCallerIdentity is. A function's is `…:assumed-role/ROLE/FUNCTION`."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        raise IdentityRefused("not an ARN")
    account, resource = parts[4], parts[5].split("/")
    if parts[2] == "sts" and resource[0] == "assumed-role" and len(resource) == 3:
        return Caller(account, resource[1], resource[2])
    return Caller(account, None, None)


def proves(caller: Caller, function: str, role_arn: str, account: str, *, local: bool) -> bool:
    """Tell whether the caller is this function, which has this role in this account.

    `local`: a local AWS gives its functions no identity but the account's. There, and only there, the account is proof
    enough: whoever can speak to it is on this machine.
    """
    if caller.account != account:
        return False
    if caller.role is None:
        return local
    return caller.role == role_arn.rsplit("/", 1)[-1] and caller.function == function


def local_endpoint() -> str:
    """Return the local AWS that this service works on; "" where it is the real one."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL", "")
    try:
        return endpoint.rstrip("/") if urlsplit(endpoint).hostname in LOOPBACK else ""
    except ValueError:
        return ""


class Identities:
    """Asks STS, a few at once; makes its connections when they are needed."""

    def __init__(self, server: str, at_once: int = 50) -> None:
        self._server = server
        self._turn = asyncio.Semaphore(at_once)
        self._http: aiohttp.ClientSession | None = None

    async def caller(self, url: str) -> Caller:
        """Return who signed the URL. Raises `IdentityRefused` and `IdentityUnknown`."""
        check_url(url, local_endpoint())
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=SECONDS)
            self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with (
                self._turn,
                # The bytes of the URL are signed: nothing of it may be spelled anew.
                self._http.get(
                    URL(url, encoded=True),
                    headers={SERVER_HEADER: self._server},
                    allow_redirects=False,
                ) as answer,
            ):
                body = await answer.content.read(_MOST_BYTES)
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise IdentityUnknown(type(error).__name__) from error
        if status >= 500 or status == 429:
            raise IdentityUnknown(f"STS said {status}")
        found = _ARN.search(body.decode("utf-8", "replace"))
        if status != 200 or found is None:
            raise IdentityRefused(f"STS said {status}")
        return caller_of(found.group(1))

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
