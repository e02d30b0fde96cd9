"""Tokens of machines: for stages of one repository, for at most a year, kept as digests only.

`sd_`, 256 random bits and a checksum of six characters: the checksum lets a scanner for secrets, and us, tell a token
from text that looks like one, as GitHub's own tokens do
(https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/).
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.access.errors import AccessError
from service.access.reach import Right
from service.database import now
from service.models import MachineToken

PREFIX = "sd_"
MOST_DAYS = 365
MOST_A_REPOSITORY = 100
RIGHTS = (Right.READ, Right.PLAN, Right.DEPLOY, Right.REMOVE)
"""What a token can be given. None can make tokens: it would outlive its own end."""

_STAGES = re.compile(r"[a-z*?][a-z0-9*?-]{0,39}\Z")  # as in stagedoor.toml
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SECRET_LENGTH = 43  # 62^43 > 2^256
_CHECKSUM_LENGTH = 6
_USED_SECONDS = 60
HINT_LENGTH = len(PREFIX) + 4


class TokenNotMade(AccessError):
    """A token was asked for that is not to be."""

    id = "token-not-made"
    status = 422


def create(
    session: Session,
    repository_id: int,
    name: str,
    *,
    stage: str,
    rights: Iterable[Right],
    days: float,
    created_by: str,
) -> tuple[MachineToken, str]:
    """Return the row of a new token and its secret, which nobody can read again. Raises `TokenNotMade`.

    `stage` is a pattern as in stagedoor.toml (`pr-*`, `prod`, `*`). Whoever may do so is for the caller to know.
    """
    given = _checked(session, repository_id, name, stage, frozenset(rights), days)
    secret = new_secret()
    moment = now(session)
    row = MachineToken(
        repository_id=repository_id,
        name=name,
        stage=stage,
        rights=" ".join(given),
        digest=digest_of(secret),
        hint=secret[:HINT_LENGTH],
        created_by=created_by[:255],
        created_at=moment,
        expires_at=moment + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    return row, secret


def listed(session: Session, repository_id: int) -> Sequence[MachineToken]:
    """Return a repository's tokens, the newest first; those that are over and those that were revoked, too."""
    of = select(MachineToken).where(MachineToken.repository_id == repository_id)
    return session.scalars(of.order_by(MachineToken.id.desc())).all()


def revoke(session: Session, token_id: int) -> bool:
    """Have a token be good no longer, from this transaction's end on. False: there is none, or it already was not."""
    good = (MachineToken.id == token_id) & MachineToken.revoked_at.is_(None)
    changed = update(MachineToken).where(good).values(revoked_at=now(session)).returning(MachineToken.id)
    return session.scalar(changed) is not None


def find(session: Session, secret: str) -> MachineToken | None:
    """Return the row of a secret, if it is good now, and write down that it was used (to the minute).

    It is found by its digest, so how long that takes says nothing of the secret.
    """
    row = session.scalars(select(MachineToken).where(MachineToken.digest == digest_of(secret))).one_or_none()
    if row is None or row.revoked_at is not None:
        return None
    moment = now(session)
    if row.expires_at <= moment:
        return None
    if row.last_used_at is None or _seconds(row.last_used_at, moment) >= _USED_SECONDS:
        session.execute(update(MachineToken).where(MachineToken.id == row.id).values(last_used_at=moment))
    return row


def new_secret() -> str:
    """Return a new secret: 256 random bits."""
    body = _base62(secrets.randbits(256), _SECRET_LENGTH)
    return f"{PREFIX}{body}{_checksum(body)}"


def is_well_formed(secret: str) -> bool:
    """Tell whether a text can be a secret of ours: no database need be asked about one that cannot."""
    body, checksum = secret[len(PREFIX) : -_CHECKSUM_LENGTH], secret[-_CHECKSUM_LENGTH:]
    return (
        secret.startswith(PREFIX)
        and len(body) == _SECRET_LENGTH
        and all(character in _ALPHABET for character in body)
        and checksum == _checksum(body)
    )


def digest_of(secret: str) -> str:
    """Return what is stored of a secret. It is random, so a fast hash will do."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _checked(
    session: Session, repository_id: int, name: str, stage: str, rights: frozenset[Right], days: float
) -> list[Right]:
    if not (name.strip() and name.isprintable() and len(name) <= 64):
        raise TokenNotMade(
            "The token has no name that can be shown.", "Give it one of at most 64 printable characters."
        )
    if not _STAGES.match(stage):
        raise TokenNotMade(f"No stage's name can match {stage[:64]!r}.", "Name a stage, or a pattern such as `pr-*`.")
    if not rights or not rights <= frozenset(RIGHTS):
        raise TokenNotMade("A token is for nothing, or for more than it can be.", f"Give some of: {', '.join(RIGHTS)}.")
    if not 0 < days <= MOST_DAYS:
        raise TokenNotMade("The token would be good for too long, or never.", f"Give at most {MOST_DAYS} days.")
    if _good_ones(session, repository_id) >= MOST_A_REPOSITORY:
        raise TokenNotMade("The repository has too many tokens.", "Revoke those that nobody uses.")
    return [right for right in RIGHTS if right in rights]


def _good_ones(session: Session, repository_id: int) -> int:
    of = (MachineToken.repository_id == repository_id) & MachineToken.revoked_at.is_(None)
    good = select(func.count()).select_from(MachineToken).where(of, MachineToken.expires_at > now(session))
    return session.scalar(good) or 0


def _seconds(since: datetime, moment: datetime) -> float:
    return (moment - since).total_seconds()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
