"""Tokens of the service's own: who holds one may do one thing for a while (JWT, RFC 7519; HS256).

Each kind has an audience of its own, so that none passes for another. They need no memory: any process that has the key
reads them, and so does one that was started a second ago.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import ClassVar, TypeVar

import jwt

from service.settings import Settings

ISSUER = "stagedoor"
ALGORITHM = "HS256"
LOGIN_SECONDS = 30 * 24 * 3600
STAGE_SECONDS = 3600
FUNCTION_SECONDS = 3600
RESUME_SECONDS = 24 * 3600
RUN_SECONDS = 15 * 60
_REMEMBERED = 10_000


class TokenInvalid(Exception):
    """A token that is forged, over, of another kind, or none."""


@dataclass(frozen=True, slots=True)
class LoginToken:
    """A person, as GitHub knows them: `host` is the GitHub server's name, `user_id` the number there."""

    login: str
    user_id: int
    host: str

    audience: ClassVar[str] = "stagedoor:login"
    seconds: ClassVar[int] = LOGIN_SECONDS


@dataclass(frozen=True, slots=True)
class StageToken:
    """A developer who may open tunnels into one stage; `user_id` and `host` as in the login that it was given for."""

    stage_id: int
    developer: str
    user_id: int = 0
    host: str = ""

    audience: ClassVar[str] = "stagedoor:stage"
    seconds: ClassVar[int] = STAGE_SECONDS


@dataclass(frozen=True, slots=True)
class FunctionToken:
    """A bridge that has proven which function of which stage it stands for; `function` is the physical name."""

    stage_id: int
    function: str

    audience: ClassVar[str] = "stagedoor:function"
    seconds: ClassVar[int] = FUNCTION_SECONDS


@dataclass(frozen=True, slots=True)
class ResumeToken:
    """An agent that has had this session: it may come back to it."""

    session: str
    stage_id: int
    developer: str

    audience: ClassVar[str] = "stagedoor:resume"
    seconds: ClassVar[int] = RESUME_SECONDS


@dataclass(frozen=True, slots=True)
class ForwardToken:
    """A web process that passes a bridge's call on to the one that holds the session; "": to ask, not to route."""

    attempt: str
    session: str

    audience: ClassVar[str] = "stagedoor:forward"
    seconds: ClassVar[int] = 60


@dataclass(frozen=True, slots=True)
class RunToken:
    """A run of a workflow of GitHub Actions that has proven which one it is; `repository_id` is of the row.

    `environment` is the one that GitHub let the job into, or "". `stage` is a pattern, or "" where the environment
    alone counts; `rights` are words, parted by spaces (`service.access.callers.Right`).
    """

    repository_id: int
    run_id: int
    run_attempt: int
    event: str
    ref: str
    sha: str
    environment: str
    actor: str
    rights: str
    stage: str

    audience: ClassVar[str] = "stagedoor:run"
    seconds: ClassVar[int] = RUN_SECONDS


Claims = LoginToken | StageToken | FunctionToken | ResumeToken | ForwardToken | RunToken
C = TypeVar("C", LoginToken, StageToken, FunctionToken, ResumeToken, ForwardToken, RunToken)


class Tokens:
    """Mints and verifies. `clock` gives seconds since 1970. Safe to share between threads."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._seen: dict[str, tuple[Claims, float]] = {}

    @classmethod
    def of(cls, settings: Settings) -> "Tokens":
        """Return the tokens that every process with these settings mints and verifies alike."""
        return cls(token_key(settings))

    def mint(self, claims: Claims, seconds: int | None = None) -> str:
        """Return a token that is good for its kind's time, or for `seconds`."""
        now = int(self._clock())
        times = {"iss": ISSUER, "aud": claims.audience, "iat": now, "exp": now + (seconds or claims.seconds)}
        return jwt.encode({**asdict(claims), **times}, self._key, algorithm=ALGORITHM)

    def verify(self, token: str, kind: type[C]) -> C:
        """Return the claims of a token of this kind. Raises `TokenInvalid`, which says nothing to whoever sent it."""
        return self.verified(token, kind)[0]

    def verified(self, token: str, kind: type[C]) -> tuple[C, float]:
        """Return the claims, and when they end (seconds since 1970). Raises `TokenInvalid`."""
        seen = self._seen.get(token)
        if seen is None:
            seen = self._read(token, kind)
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            self._seen[token] = seen
        claims, expires = seen
        if not isinstance(claims, kind) or expires <= self._clock():
            raise TokenInvalid
        return claims, expires

    def _read(self, token: str, kind: type[C]) -> tuple[C, float]:
        try:
            # The time is looked at by our own clock, each time the token is shown.
            options: jwt.types.Options = {
                "require": ["exp", "aud", "iss"],
                "verify_exp": False,
                "verify_iat": False,
            }
            said = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], audience=kind.audience, issuer=ISSUER, options=options
            )
            fields = {name: said[name] for name in kind.__slots__}
            return kind(**fields), float(said["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, RecursionError):
            raise TokenInvalid from None


def token_key(settings: Settings) -> bytes:
    """Return the key of the tokens: from STAGEDOOR_TOKEN_KEY, else from the GitHub App's private key, which every
    process has and nobody else; one-way (HMAC, as the first half of HKDF, RFC 5869): a token says nothing of it.
    """
    secret = settings.token_key.get_secret_value() or settings.private_key
    return hmac.new(b"stagedoor tokens 1", secret.encode(), hashlib.sha256).digest()
