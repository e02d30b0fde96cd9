"""Deployments, their statuses and their environments, which the emulator does not have.

Source of the shapes and rules: https://docs.github.com/en/rest/deployments
"""

from datetime import UTC, datetime
from typing import Any

from demo.github.shapes import Json, Place, node_id

ENDED = {"success", "failure", "error", "inactive"}


def moment() -> str:
    """Return the time as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Deployments:
    """The deployments of one repository, oldest first."""

    def __init__(self, place: Place, full_name: str) -> None:
        self._place = place
        self._api = f"{place.url}/repos/{full_name}"
        self._all: dict[int, Json] = {}
        self._statuses: dict[int, list[Json]] = {}

    def create(self, number: int, sha: str, wish: Json, creator: Json) -> Json:
        """Record a deployment; `wish` is the body of the request, with GitHub's defaults filled in here."""
        url = f"{self._api}/deployments/{number}"
        self._statuses[number] = []
        environment = wish.get("environment", "production")
        self._all[number] = {
            "url": url,
            "id": number,
            "node_id": node_id("Deployment", number),
            "sha": sha,
            "ref": wish["ref"],
            "task": wish.get("task", "deploy"),
            "payload": wish.get("payload", {}),
            "original_environment": environment,
            "environment": environment,
            "description": wish.get("description"),
            "creator": creator,
            "created_at": moment(),
            "updated_at": moment(),
            "statuses_url": f"{url}/statuses",
            "repository_url": self._api,
            "transient_environment": wish.get("transient_environment", False),
            "production_environment": wish.get("production_environment", environment == "production"),
        }
        return self._all[number]

    def find(self, number: int) -> Json | None:
        """Return one deployment."""
        return self._all.get(number)

    def matching(self, **wanted: str) -> list[Json]:
        """Return the deployments whose fields are as wanted, newest first."""
        return [
            deployment
            for deployment in reversed(self._all.values())
            if all(deployment[key] == value for key, value in wanted.items())
        ]

    def add_status(self, number: int, status_number: int, wish: Json, creator: Json) -> Json:
        """Record a status. As on GitHub, a success ends the others of its environment unless they are transient."""
        deployment = self._all[number]
        url = f"{deployment['url']}/statuses/{status_number}"
        status: Json = {
            "url": url,
            "id": status_number,
            "node_id": node_id("DeploymentStatus", status_number),
            "state": wish["state"],
            "creator": creator,
            "description": wish.get("description", ""),
            "environment": wish.get("environment", deployment["environment"]),
            "target_url": wish.get("log_url", ""),
            "created_at": moment(),
            "updated_at": moment(),
            "deployment_url": deployment["url"],
            "repository_url": self._api,
            "environment_url": wish.get("environment_url", ""),
            "log_url": wish.get("log_url", ""),
        }
        self._statuses[number].append(status)
        deployment["updated_at"] = moment()
        if wish["state"] == "success" and wish.get("auto_inactive", True):
            self._end_others(deployment)
        return status

    def statuses(self, number: int) -> list[Json]:
        """Return a deployment's statuses, newest first."""
        return self._statuses[number][::-1]

    def state(self, number: int) -> str:
        """Return the state that a deployment has now."""
        statuses = self._statuses[number]
        return str(statuses[-1]["state"]) if statuses else "pending"

    def environments(self) -> list[Json]:
        """Return the environments, which are born with their first deployment."""
        names = {str(deployment["environment"]): deployment for deployment in self._all.values()}
        return [
            {
                "id": 1000 + index,
                "node_id": node_id("Environment", index),
                "name": name,
                "url": f"{self._api}/environments/{name}",
                "html_url": f"{self._place.url}/deployments/{name}",
                "created_at": deployment["created_at"],
                "updated_at": deployment["updated_at"],
            }
            for index, (name, deployment) in enumerate(names.items())
        ]

    def _end_others(self, newest: dict[str, Any]) -> None:
        for number, other in self._all.items():
            exempt = other["transient_environment"] or other["production_environment"]
            if other is not newest and not exempt and other["environment"] == newest["environment"]:
                self._statuses[number].append({**self._statuses[number][-1], "state": "inactive"})
