"""The code that GitHub sends back, exchanged for the App's credentials. It works once and for an hour."""

import http.client
import json
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from service.setup.manifest import Place
from stagedoor.errors import UserError

_CODE = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_SECONDS = 20.0
_MOST_BYTES = 256 * 1024


class AppNotCreated(UserError):
    """GitHub did not give the App's credentials."""

    id = "app-not-created"


@dataclass(frozen=True, slots=True)
class NewApp:
    """The App. What is secret of it is not in its `repr`."""

    id: int
    name: str
    url: str
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


def convert(place: Place, code: str) -> NewApp:
    """Exchange the code; raises `AppNotCreated`, whose text has nothing of the answer but its status.

    Source: https://docs.github.com/en/rest/apps/apps#create-a-github-app-from-a-manifest
    """
    if not _CODE.match(code):
        raise AppNotCreated("What came back from GitHub is not a code.", "Begin again: run `stagedoor setup`.")
    status, body = _post(f"{place.api}/app-manifests/{code}/conversions")
    if status != http.client.CREATED:
        raise AppNotCreated(
            f"GitHub answered {status} when it was asked for the App's credentials.",
            "A code works once, for an hour: delete the App, if one was made, and run `stagedoor setup` again.",
        )
    try:
        said = json.loads(body)
        secret = said["webhook_secret"] or ""
        made = NewApp(int(said["id"]), str(said["name"]), str(said["html_url"]), str(said["pem"]), str(secret))
    except (ValueError, KeyError, TypeError):
        raise AppNotCreated("GitHub's answer is not what it documents.", "See whether the App is there.") from None
    if not made.webhook_secret:
        raise AppNotCreated(
            "GitHub made the App without a secret for its webhook.",
            f"Set one on the App's page, {made.url}, and give it to the service as STAGEDOOR_GITHUB_WEBHOOK_SECRETS.",
        )
    return made


def _post(url: str) -> tuple[int, bytes]:
    """Post nothing; return status and body. A redirect is not followed."""
    where = urlsplit(url)
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(where.netloc, timeout=_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(where.netloc, timeout=_SECONDS)
    try:
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "stagedoor-setup", "Content-Length": "0"}
        connection.request("POST", where.path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise AppNotCreated(
            f"GitHub cannot be reached: {type(error).__name__}.", f"See whether {where.netloc} answers from here."
        ) from None
    finally:
        connection.close()
