"""Who may read the pages: everybody on this machine when the service is on loopback, else whoever has the password."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from werkzeug import datastructures

from service.settings import LOOPBACK, Settings

REALM = 'Basic realm="Stagedoor", charset="UTF-8"'


Headers = Mapping[str, str] | datastructures.Headers  # of either side of the front door; case does not matter in them
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def may_read(settings: Settings, headers: Headers) -> bool:
    """Return whether the headers of a request let it read (RFC 7617; the user's name is not looked at).

    Logs are an app's own words and not for strangers, so off loopback a service without a password shows nobody.
    """
    password = settings.console_password.get_secret_value()
    if not password:
        return settings.on_loopback and is_from_here(headers)
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return False
    return hmac.compare_digest(given.encode(), password.encode())


def is_from_here(headers: Headers) -> bool:
    """Return whether a request that came over loopback was made on this machine, and for it.

    A tunnel or a proxy through which GitHub reaches a laptop comes over loopback, too, and says so or names another
    host; so does a page in a browser whose name was made to lead here (DNS rebinding).
    """
    try:
        host = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return False
    return host in LOOPBACK and not any(name in headers for name in _FORWARDED)
