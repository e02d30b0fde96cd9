"""Who may read the pages: everybody on this machine when the service is on loopback, else whoever has the password."""

import base64
import binascii
import hmac

from service.settings import Settings

REALM = 'Basic realm="Stagedoor", charset="UTF-8"'


def may_read(settings: Settings, authorization: str | None) -> bool:
    """Return whether the `Authorization` header of a request lets it read (RFC 7617; the user's name is not looked at).

    Logs are an app's own words and not for strangers, so off loopback a service without a password shows nobody.
    """
    password = settings.console_password.get_secret_value()
    if not password:
        return settings.on_loopback
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return False
    return hmac.compare_digest(given.encode(), password.encode())
