"""Whether a delivery was signed by GitHub.

Rule: `X-Hub-Signature-256` is `sha256=` and the HMAC-SHA256 of the raw body, in hexadecimal
(https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries).
"""

import hmac
import re
from collections.abc import Iterable

HEADER = "X-Hub-Signature-256"
_FORM = re.compile(r"sha256=[0-9a-f]{64}\Z")


def sign(secret: str, body: bytes) -> str:
    """Return the header's value for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()


def is_well_formed(signature: str | None) -> bool:
    """Return whether this could be a signature at all: known before the body is read."""
    return signature is not None and _FORM.match(signature) is not None


def is_signed(body: bytes, signature: str | None, secrets: Iterable[str]) -> bool:
    """Return whether `signature` is that of `body` under any of the secrets.

    Every secret is tried, in constant time, so that the answer's time does not tell which one came close. An empty
    secret signs nothing.
    """
    if signature is None or not is_well_formed(signature):
        return False
    matching = [hmac.compare_digest(sign(secret, body), signature) for secret in secrets if secret]
    return any(matching)
