"""GitHub's manifest flow at the local GitHub: whoever posts a manifest is the developer, and has pressed Create.

The App that comes of it is the one that there is, with its own credentials. What GitHub would refuse is refused.
Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from demo.github.exchange import Answer, Refused, Request, json_answer
from demo.github.world import EVENTS, ORGANIZATION, PERMISSIONS, World

_FORM = re.compile(r"(?:/organizations/([^/]+))?/settings/apps/new")
_CONVERSION = re.compile(r"(?:/api/v3)?/app-manifests/([^/]+)/conversions")


@dataclass(slots=True)
class Manifests:
    """The manifests that were posted: each by its code, until that is exchanged."""

    private_key: str
    webhook_secret: str
    posted: list[dict[str, Any]] = field(default_factory=list)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answer(self, request: Request, world: World) -> Answer | None:
        """Answer what belongs to the flow; None for everything else."""
        if request.method == "POST" and (found := _FORM.fullmatch(request.path)):
            return self._post(request, found[1])
        if request.method == "POST" and (found := _CONVERSION.fullmatch(request.path)):
            return self._convert(found[1], world)
        return None

    def _post(self, request: Request, organization: str | None) -> Answer:
        if organization not in (None, ORGANIZATION):
            raise Refused(404, "Not Found")
        said = json.loads(parse_qs(request.body.decode())["manifest"][0])
        if set(said["default_permissions"]) - set(PERMISSIONS) or set(said["default_events"]) - set(EVENTS):
            raise Refused(422, "Unknown permission or event")
        self.posted.append(said)
        code = secrets.token_hex(20)
        self.codes[code] = said
        back = urlencode({"code": code, "state": request.parameter("state") or ""})
        return Answer(302, b"", [("Location", f"{said['redirect_url']}?{back}")])

    def _convert(self, code: str, world: World) -> Answer:
        said = self.codes.pop(code, None)
        if said is None:
            raise Refused(404, "Not Found")
        more = {
            "name": said["name"],
            "permissions": said["default_permissions"],
            "events": said["default_events"],
            "client_secret": secrets.token_hex(20),
            "webhook_secret": self.webhook_secret,
            "pem": self.private_key,
        }
        return json_answer(201, {**world.app, **more})
