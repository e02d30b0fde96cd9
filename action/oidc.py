"""The identity of a workflow's job: a token that GitHub signs, for an audience that we name.

Source: https://docs.github.com/actions/reference/security/oidc. The job needs `permissions: id-token: write`, which
GitHub never gives to a pull request from a fork.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from action.http_calls import Answer, Http
from action.refusal import Refused


def id_token(environ: Mapping[str, str], audience: str, http: Http) -> str:
    """Return a fresh token for `audience`. Raises `Refused`."""
    url, secret = (environ.get(f"ACTIONS_ID_TOKEN_REQUEST_{part}", "") for part in ("URL", "TOKEN"))
    if not url or not secret:
        raise Refused(
            "no-id-token",
            "The job has no identity that the service could know it by.",
            "Give the job `permissions: id-token: write`. One from a fork never has it: use `synth: runner`.",
        )
    separator = "&" if "?" in url else "?"
    asked = f"{url}{separator}audience={quote(audience, safe='')}"
    answer: Answer = http.call("GET", asked, headers={"Authorization": f"Bearer {secret}"})
    token = answer.document.get("value")
    if answer.status != 200 or not isinstance(token, str) or not token:
        raise Refused("no-id-token", f"GitHub gave the job no identity: {answer.status}.", "Run the job again.")
    return token
