"""The bodies of webhooks, in the shape of GitHub's schema, about our repositories.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from collections.abc import Sequence

from demo.github.deployments import moment
from demo.github.git_repository import NO_COMMIT
from demo.github.shapes import Json, node_id
from demo.github.world import APP_SLUG, EVENTS, ORGANIZATION, PERMISSIONS, LocalRepository, World


class Payloads:
    """Builds payloads from what is true in the world now."""

    def __init__(self, world: World) -> None:
        self._world = world

    def pull_request(self, repository: LocalRepository, pull: Json, action: str, more: Json) -> Json:
        """Return the body of a `pull_request` event; `more` is what belongs to the action alone."""
        return {"action": action, "number": pull["number"], "pull_request": pull, **more, **self._about(repository)}

    def push(self, repository: LocalRepository, branch: str, before: str, after: str, paths: Sequence[str]) -> Json:
        """Return the body of a `push` event; a branch that is born or deleted has forty zeros at one end."""
        web = f"{self._world.place.url}/{repository.full_name}"
        person = {"name": "Mona", "email": "mona@example.com"}
        commits = []
        if after != NO_COMMIT:
            commit = repository.commit(after)
            commits.append(
                {
                    "id": after,
                    "tree_id": commit.tree,
                    "distinct": True,
                    "message": commit.message,
                    "timestamp": commit.date,
                    "url": f"{web}/commit/{after}",
                    "author": person,
                    "committer": person,
                    "added": [],
                    "removed": [],
                    "modified": list(paths),
                }
            )
        return {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": after,
            "created": before == NO_COMMIT,
            "deleted": after == NO_COMMIT,
            "forced": False,
            "base_ref": None,
            "compare": f"{web}/compare/{before[:12]}...{after[:12]}",
            "commits": commits,
            "head_commit": commits[0] if commits else None,
            "pusher": person,
            **self._about(repository),
        }

    def delete(self, repository: LocalRepository, branch: str) -> Json:
        """Return the body of a `delete` event of a branch."""
        return {"ref": branch, "ref_type": "branch", "pusher_type": "user", **self._about(repository)}

    def check_run(self, repository: LocalRepository, run: Json) -> Json:
        """Return the body of a `check_run` event: somebody pressed "Re-run"."""
        pulls = self._world.pulls_of(repository, run["head_sha"])
        branch = pulls[0]["head"]["ref"] if pulls else run["check_suite"]["head_branch"]
        filled = {
            **run,
            "app": self._world.app,
            "details_url": run["details_url"] or run["html_url"],
            "started_at": run["started_at"] or moment(),
            "output": {**run["output"], "annotations_url": f"{run['url']}/annotations"},
            "check_suite": {**run["check_suite"], "head_branch": branch},
            "pull_requests": pulls,
        }
        return {"action": "rerequested", "check_run": filled, **self._about(repository)}

    def workflow_run(self, repository: LocalRepository, run: Json) -> Json:
        """Return the body of a `workflow_run` event: a run is over."""
        workflow = {
            "id": run["workflow_id"],
            "node_id": node_id("Workflow", run["workflow_id"]),
            "name": run["name"],
            "path": run["path"],
            "state": "active",
            "created_at": run["created_at"],
            "updated_at": run["updated_at"],
            "url": run["workflow_url"],
            "html_url": f"{repository.shape['html_url']}/blob/main/{run['path']}",
            "badge_url": f"{repository.shape['html_url']}/workflows/{run['name']}/badge.svg",
        }
        return {"action": "completed", "workflow": workflow, "workflow_run": run, **self._about(repository)}

    def issue_comment(self, repository: LocalRepository, issue: Json, comment: Json, action: str) -> Json:
        """Return the body of an `issue_comment` event; a pull request is an issue with a link to it."""
        changes = {"changes": {"body": {"from": ""}}} if action == "edited" else {}
        about = {**self._about(repository), "sender": comment["user"]}
        return {"action": action, "issue": issue, "comment": comment, **changes, **about}

    def installation(self, action: str) -> Json:
        """Return the body of an `installation` event."""
        world = self._world
        url = world.place.url
        return {
            "action": action,
            "installation": {
                "id": world.installation_id,
                "account": world.owner,
                "app_id": world.app_id,
                "app_slug": APP_SLUG,
                "target_id": world.owner["id"],
                "target_type": "Organization",
                "repository_selection": "all",
                "access_tokens_url": f"{url}/app/installations/{world.installation_id}/access_tokens",
                "repositories_url": f"{url}/installation/repositories",
                "html_url": f"{url}/organizations/{ORGANIZATION}/settings/installations/{world.installation_id}",
                "permissions": PERMISSIONS,
                "events": EVENTS,
                "single_file_name": None,
                "created_at": moment(),
                "updated_at": moment(),
                "suspended_at": moment() if world.suspended else None,
                "suspended_by": world.developer if world.suspended else None,
            },
            "repositories": [
                {
                    "id": each.number,
                    "node_id": each.shape["node_id"],
                    "name": each.shape["name"],
                    "full_name": each.full_name,
                    "private": True,
                }
                for each in world.repositories.values()
            ],
            "sender": world.developer,
        }

    def _about(self, repository: LocalRepository) -> Json:
        world = self._world
        return {
            "repository": repository.shape,
            "organization": {
                "login": world.owner["login"],
                "id": world.owner["id"],
                "node_id": world.owner["node_id"],
                "url": f"{world.place.url}/orgs/{world.owner['login']}",
                "repos_url": f"{world.place.url}/orgs/{world.owner['login']}/repos",
                "events_url": f"{world.place.url}/orgs/{world.owner['login']}/events",
                "hooks_url": f"{world.place.url}/orgs/{world.owner['login']}/hooks",
                "issues_url": f"{world.place.url}/orgs/{world.owner['login']}/issues",
                "members_url": f"{world.place.url}/orgs/{world.owner['login']}/members{{/member}}",
                "public_members_url": f"{world.place.url}/orgs/{world.owner['login']}/public_members{{/member}}",
                "avatar_url": world.owner["avatar_url"],
                "description": None,
            },
            "sender": world.developer,
            "installation": {"id": world.installation_id, "node_id": node_id("Integration", world.installation_id)},
        }
