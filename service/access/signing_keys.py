"""The public keys of an OIDC issuer, found through its discovery document and kept for an hour.

Sources: https://openid.net/specs/openid-connect-discovery-1_0.html and RFC 7517. Whoever sends tokens with made-up key
ids makes us ask at most once a minute; an issuer publishes a key well before it signs with it.
"""

import json
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
import structlog
import urllib3
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from service.settings import LOOPBACK

COOL_DOWN_SECONDS = 60.0
FRESH_SECONDS = 3600.0
BELIEVED_SECONDS = 24 * 3600.0
"""For how long keys serve when the issuer cannot be asked for newer ones."""

_DISCOVERY = "/.well-known/openid-configuration"
_TIMEOUT = (3.0, 5.0)  # seconds to connect, seconds between two bytes
_DEADLINE_SECONDS = 10.0  # for one of the two documents
_PATIENCE_SECONDS = 25.0  # with another thread that asks for both
_MOST_BYTES = 256 * 1024
_MOST_KEYS = 50
_LEAST_BITS = 2048

log = structlog.get_logger(__name__)


class KeysUnavailable(Exception):
    """The issuer does not answer as an issuer does."""


def is_safe_issuer(url: str) -> bool:
    """Tell whether what an issuer at this URL says can be believed: it is asked over TLS, or on this machine."""
    try:
        parts = urlsplit(url)
        is_plain = not parts.query and not parts.fragment and parts.username is None and parts.hostname is not None
    except ValueError:
        return False
    return is_plain and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def fetch_keys(issuer: str) -> dict[str, RSAPublicKey]:
    """Return the issuer's keys by their ids: two requests. Raises `KeysUnavailable`."""
    said = _get(issuer + _DISCOVERY)
    if said.get("issuer") != issuer:
        raise KeysUnavailable("the discovery document is another issuer's")
    where = said.get("jwks_uri")
    if not isinstance(where, str) or not is_safe_issuer(where) or _origin(where) != _origin(issuer):
        raise KeysUnavailable("the keys are somewhere else")
    listed = _get(where).get("keys")
    if not isinstance(listed, list):
        raise KeysUnavailable("no list of keys")
    keys = dict(filter(None, map(_key, listed[:_MOST_KEYS])))
    if not keys:
        raise KeysUnavailable("no key that signs by RS256")
    return keys


class SigningKeys:
    """The keys of one issuer. Safe to share between threads; `clock` gives seconds from any point on."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[str], Mapping[str, RSAPublicKey]] = fetch_keys,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_at = self._asked_at = float("-inf")

    def get(self, key_id: str) -> RSAPublicKey | None:
        """Return the key of this id; None when the issuer has none, or was asked for one less than a minute ago.

        Raises `KeysUnavailable` while there are no keys at all that are believed: nothing can be said of any id then.
        """
        if not self._has(key_id, FRESH_SECONDS):
            # Whoever has a key that is believed does not wait while another thread asks for newer ones.
            patience = 0.0 if self._has(key_id, BELIEVED_SECONDS) else _PATIENCE_SECONDS
            if self._lock.acquire(timeout=patience):
                try:
                    self._renew_if_due(key_id)
                finally:
                    self._lock.release()
        if not self._are_there(BELIEVED_SECONDS):
            raise KeysUnavailable("no keys of this issuer are known")
        return self._keys.get(key_id)

    def _has(self, key_id: str, seconds: float) -> bool:
        return self._are_there(seconds) and key_id in self._keys

    def _are_there(self, seconds: float) -> bool:
        return self._clock() - self._fetched_at < seconds

    def _renew_if_due(self, key_id: str) -> None:
        if not self._has(key_id, FRESH_SECONDS) and self._clock() - self._asked_at >= COOL_DOWN_SECONDS:
            self._asked_at = self._clock()
            self._renew()

    def _renew(self) -> None:
        try:
            self._keys = self._fetch(self._issuer)
            self._fetched_at = self._clock()
        except KeysUnavailable as error:
            log.warning("the keys of an issuer cannot be had", issuer=self._issuer, reason=str(error))


def _key(said: Any) -> tuple[str, RSAPublicKey] | None:
    if not isinstance(said, dict) or said.get("kty") != "RSA" or not isinstance(said.get("kid"), str):
        return None
    if said.get("use", "sig") != "sig" or said.get("alg", "RS256") != "RS256":
        return None
    try:
        key = jwt.PyJWK(said, algorithm="RS256").key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return (said["kid"], key) if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS else None


def _get(url: str) -> dict[str, Any]:
    ends = time.monotonic() + _DEADLINE_SECONDS
    try:
        with requests.get(url, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer:
            if answer.status_code != 200:
                raise KeysUnavailable(f"{answer.status_code} from {url}")
            body = b""
            # What has come is looked at as it comes: to wait for a piece of some size is to wait for ever on one that
            # comes byte by byte.
            while part := answer.raw.read1(16 * 1024, decode_content=True):
                body += part
                if len(body) > _MOST_BYTES or time.monotonic() > ends:
                    raise KeysUnavailable(f"too much, or too slow: {url}")
        said = json.loads(body)
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, RecursionError) as error:
        raise KeysUnavailable(f"{type(error).__name__} from {url}") from None
    if not isinstance(said, dict):
        raise KeysUnavailable(f"no object from {url}")
    return said


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
