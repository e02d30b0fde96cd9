"""What the App is to be: its permissions, its events, where GitHub finds the service."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

PERMISSIONS = {
    "actions": "read",
    "checks": "write",
    "contents": "read",
    "deployments": "write",
    "issues": "read",
    "metadata": "read",
    "pull_requests": "write",
}
"""The least that serves; docs/permissions.md says what each is for."""

EVENTS = (
    "check_run",
    "check_suite",
    "delete",
    "installation_target",
    "issue_comment",
    "pull_request",
    "push",
    "repository",
    "workflow_run",
)
"""What the service acts on; `installation` and `installation_repositories` come to every App
(https://docs.github.com/en/webhooks/webhook-events-and-payloads).
"""

LONGEST_NAME = 34  # https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app


@dataclass(frozen=True, slots=True)
class Place:
    """A GitHub: where its pages and its API are, without a slash at the end."""

    web: str = "https://github.com"
    api: str = "https://api.github.com"

    @classmethod
    def of(cls, base: str) -> "Place":
        """Return github.com, a tenant of ghe.com, or a GitHub Enterprise Server by the URL that people open it with.

        Sources: https://docs.github.com/en/enterprise-server@latest/rest/enterprise-admin#endpoint-urls and
        https://docs.github.com/en/enterprise-cloud@latest/admin/data-residency/feature-overview-for-github-enterprise-cloud-with-data-residency
        """
        base = base.rstrip("/")
        host = urlsplit(base).hostname or ""
        if host in {"github.com", "www.github.com"}:
            return cls()
        if host.endswith(".ghe.com"):
            return cls(base, f"https://api.{host}")
        return cls(base, f"{base}/api/v3")

    @property
    def origin(self) -> str:
        """Where its pages are, without a path."""
        where = urlsplit(self.web)
        return f"{where.scheme}://{where.netloc}"

    def form(self, organization: str, state: str) -> str:
        """Return where the manifest is posted to."""
        owner = f"/organizations/{quote(organization, safe='')}" if organization else ""
        return f"{self.web}{owner}/settings/apps/new?{urlencode({'state': state})}"


def manifest(name: str, service: str, back: str) -> dict[str, Any]:
    """Return the App's manifest. `service` is the service's public URL, `back` where the browser is sent afterwards."""
    return {
        "name": name,
        "url": service,
        "description": "A stage of its own on AWS for every pull request",
        "hook_attributes": {"url": f"{service}/webhooks/github", "active": True},
        "redirect_url": back,
        "public": False,
        "default_permissions": dict(PERMISSIONS),
        "default_events": list(EVENTS),
    }
