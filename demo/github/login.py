"""GitHub's device flow at the local GitHub: whoever opens the page is the developer, and has approved.

Source: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps#device-flow
"""

import json
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from demo.github.exchange import Answer, Refused, Request, json_answer
from demo.github.world import DEVELOPER, Access, World

CLIENT_ID = "Iv23localstagedoor"
_SECONDS = 900
_PAGE = """\
<!doctype html><title>Local GitHub</title><h1>{title}</h1>
<form><input name="user_code" placeholder="XXXX-XXXX" autofocus><button>Approve as {login}</button></form>
"""


@dataclass(slots=True)
class DeviceLogins:
    """The logins that were begun: user codes by device code, and the user codes that were approved."""

    begun: dict[str, str] = field(default_factory=dict)
    approved: set[str] = field(default_factory=set)

    def answer(self, request: Request, world: World) -> Answer | None:
        """Answer what belongs to a login; None for everything else."""
        match request.method, request.path:
            case "POST", "/login/device/code":
                return self._begin(_form(request), world)
            case "GET", "/login/device":
                return self._page(request.parameter("user_code"))
            case "POST", "/login/oauth/access_token":
                return self._finish(_form(request), world)
            case "GET", "/user" if (access := world.access(request.token)) and access.login == DEVELOPER:
                return json_answer(200, world.developer)
        return None

    def _begin(self, form: dict[str, str], world: World) -> Answer:
        if form.get("client_id") != CLIENT_ID:
            raise Refused(404, "Not Found")
        device = secrets.token_hex(20)
        self.begun[device] = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
        said = {
            "device_code": device,
            "user_code": self.begun[device],
            "verification_uri": f"{world.place.url}/login/device",
            "expires_in": _SECONDS,
            "interval": 1,
        }
        return json_answer(200, said)

    def _page(self, user_code: str | None) -> Answer:
        known = user_code in self.begun.values()
        if known and user_code:
            self.approved.add(user_code)
        title = "You are logged in; go back to the terminal." if known else "Which code does the terminal show?"
        page = _PAGE.format(title=title, login=DEVELOPER)
        return Answer(200, page.encode(), [("Content-Type", "text/html; charset=utf-8")])

    def _finish(self, form: dict[str, str], world: World) -> Answer:
        user_code = self.begun.get(form.get("device_code", ""))
        if user_code is None:
            return json_answer(200, {"error": "incorrect_device_code"})
        if user_code not in self.approved:
            return json_answer(200, {"error": "authorization_pending"})
        del self.begun[form["device_code"]]
        token = f"ghu_{secrets.token_hex(18)}"
        world.tokens[token] = Access(DEVELOPER)
        return json_answer(200, {"access_token": token, "token_type": "bearer", "scope": ""})


def with_client_id(request: Request, answer: Answer) -> Answer:
    """Return the emulator's answer, to `GET /app` with what it lacks."""
    if (request.method, request.path, answer.status) != ("GET", "/app", 200):
        return answer
    return json_answer(200, {**json.loads(answer.body), "client_id": CLIENT_ID})


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
