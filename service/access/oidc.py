"""Tokens of jobs of GitHub Actions (OpenID Connect): is one real, and what does it say.

Source: https://docs.github.com/en/actions/reference/security/oidc. Decisions rest on the separate claims, above all on
ids. `sub` must be there and is never taken apart: repositories made since 15 July 2026 have the ids in it
(`repo:OWNER@ID/REPO@ID:…`), older ones and GitHub Enterprise Server have not, and anybody may template their own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt

from service.access.errors import GitHubAway, Refused
from service.access.signing_keys import KeysUnavailable, SigningKeys, is_safe_issuer
from service.settings import Settings, SettingsInvalid

GITHUB_COM_ISSUER = "https://token.actions.githubusercontent.com"
LEEWAY_SECONDS = 30
MOST_BYTES = 16 * 1024
_LONGEST_LIFE_SECONDS = 3600  # GitHub's are good for some minutes

_KEY_ID = re.compile(r"[A-Za-z0-9_.=-]{1,128}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}\Z")
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
# Headers by which a token would bring its own key, or have itself read in another way than we read it.
_FOREIGN_HEADERS = frozenset({"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"})
_REQUIRED = ["iss", "aud", "sub", "jti", "iat", "nbf", "exp"]


@dataclass(frozen=True, slots=True)
class Job:
    """What GitHub says of a job. `repository_id` and `owner_id` are GitHub's numbers; `environment` is "" for none."""

    issuer: str
    jti: str
    expires: int
    repository_id: int
    owner_id: int
    repository: str
    run_id: int
    run_attempt: int
    event: str
    ref: str
    sha: str
    environment: str
    actor: str


def issuers_of(settings: Settings) -> tuple[str, ...]:
    """Return the issuers whose tokens are looked at: those that are set, or the one of the configured GitHub.

    Raises `SettingsInvalid` for one that is set and can be impersonated. A GitHub without TLS has none.
    """
    for issuer in settings.oidc_issuers:
        if not is_safe_issuer(issuer):
            raise SettingsInvalid(
                f"The issuer {issuer} is not a plain https URL.",
                "Set STAGEDOOR_OIDC_ISSUERS to the `iss` of your GitHub's tokens, or leave it out for GitHub's own.",
            )
    usual = default_issuer(settings.github_web_url)
    return settings.oidc_issuers or ((usual,) if is_safe_issuer(usual) else ())


def default_issuer(web_url: str) -> str:
    """Return the issuer of a GitHub server: of github.com, of `TENANT.ghe.com`, or of a GitHub Enterprise Server.

    Source: https://docs.github.com/en/enterprise-server@latest/actions/reference/security/oidc
    """
    host = (urlsplit(web_url).hostname or "").lower()
    if host in {"github.com", "www.github.com"}:
        return GITHUB_COM_ISSUER
    if host.endswith(".ghe.com"):
        return f"https://token.actions.{host}"
    return f"{web_url.rstrip('/')}/_services/token"


class JobTokens:
    """Reads tokens of jobs. `audience` is the service's own URL. Safe to share between threads."""

    def __init__(self, audience: str, keys: Mapping[str, SigningKeys]) -> None:
        self._audience = audience
        self._keys = keys

    @classmethod
    def of(cls, settings: Settings) -> "JobTokens":
        """Return what reads the tokens that a service with these settings believes."""
        return cls(settings.url, {issuer: SigningKeys(issuer) for issuer in issuers_of(settings)})

    def read(self, token: str) -> Job:
        """Return what a token says that is signed, ours and good now; whether it was shown before is not looked at.

        Raises `Refused`, and `GitHubAway` while the issuer's keys cannot be had. What is cheap to see comes first, so
        that only a token that could be real costs a signature.
        """
        if len(token) > MOST_BYTES:
            raise Refused("token too long")
        try:
            issuer, key_id = self._places(token)
            key = self._keys[issuer].get(key_id)
            if key is None:
                raise Refused("unknown key", key_id=key_id)
            options: jwt.types.Options = {"require": _REQUIRED, "strict_aud": True}
            said = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options=options,
            )
        except KeysUnavailable:
            raise GitHubAway from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Refused(f"token refused: {type(error).__name__}", detail=str(error)[:200]) from None
        return _job(issuer, said)

    def _places(self, token: str) -> tuple[str, str]:
        """Return the issuer and the key's id that a token names, before anything of it is believed."""
        header = jwt.get_unverified_header(token)
        if foreign := _FOREIGN_HEADERS & header.keys():
            raise Refused("foreign header", headers=sorted(foreign))
        if header.get("alg") != "RS256":
            raise Refused("algorithm", algorithm=str(header.get("alg"))[:32])
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not _KEY_ID.match(key_id):
            raise Refused("key id")
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        if not isinstance(issuer, str) or issuer not in self._keys:
            raise Refused("issuer", issuer=str(issuer)[:200])
        return issuer, key_id


def _job(issuer: str, said: Mapping[str, Any]) -> Job:
    """Return the claims that decide, each of its shape. Raises `Refused`, which names the first that is not."""
    if type(said["exp"]) is not int or type(said["iat"]) is not int:
        raise Refused("claim", claim="exp, iat")
    if said["exp"] - said["iat"] > _LONGEST_LIFE_SECONDS:
        raise Refused("good for too long")
    sha = _text(said, "sha")
    if not _SHA.match(sha):
        raise Refused("claim", claim="sha")
    return Job(
        issuer=issuer,
        jti=_text(said, "jti"),
        expires=said["exp"],
        repository_id=_number(said, "repository_id"),
        owner_id=_number(said, "repository_owner_id"),
        repository=_text(said, "repository"),
        run_id=_number(said, "run_id"),
        run_attempt=_number(said, "run_attempt"),
        event=_text(said, "event_name"),
        ref=_text(said, "ref"),
        sha=sha,
        environment=_text(said, "environment", or_none=True),
        actor=_text(said, "actor"),
    )


def _text(said: Mapping[str, Any], claim: str, *, or_none: bool = False) -> str:
    value = said.get(claim, "" if or_none else None)
    if not isinstance(value, str) or len(value) > 1024 or not (value or or_none):
        raise Refused("claim", claim=claim)
    return value


def _number(said: Mapping[str, Any], claim: str) -> int:
    """Return an id; GitHub writes them as text."""
    value = said.get(claim)
    if not isinstance(value, str) or not _NUMBER.match(value):
        raise Refused("claim", claim=claim)
    return int(value)
