"""JSON as GitHub's schema has it, for what the emulator leaves out or gets wrong.

Source: GitHub's OpenAPI description and the payloads of `@octokit/webhooks-examples`.
"""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_USER_LINKS = {
    "events_url": "/events{/privacy}",
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "organizations_url": "/orgs",
    "received_events_url": "/received_events",
    "repos_url": "/repos",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
}


def node_id(kind: str, number: int) -> str:
    """Return a global node id that looks like GitHub's."""
    return base64.b64encode(f"0{len(kind)}:{kind}{number}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the local GitHub is, which every link begins with. No slash at the end."""

    url: str

    def user(self, login: str, number: int, kind: str = "User") -> Json:
        """Return a user, a bot or an organization."""
        api = f"{self.url}/users/{login}"
        return {
            "login": login,
            "id": number,
            "node_id": node_id("User", number),
            "avatar_url": f"{self.url}/avatars/u/{number}",
            "gravatar_id": "",
            "url": api,
            "html_url": f"{self.url}/{login}",
            "type": kind,
            "site_admin": False,
            **{key: api + path for key, path in _USER_LINKS.items()},
        }

    def repository(self, full_name: str, number: int, owner: Json, *, fork: bool = False, at: str) -> Json:
        """Return a repository as it stands in payloads; `at` is when it was made and last changed."""
        api = f"{self.url}/repos/{full_name}"
        web = f"{self.url}/{full_name}"
        return {
            "id": number,
            "node_id": node_id("Repository", number),
            "name": full_name.partition("/")[2],
            "full_name": full_name,
            "private": True,
            "owner": owner,
            "html_url": web,
            "description": None,
            "fork": fork,
            "url": api,
            **{key: api + path for key, path in _REPOSITORY_LINKS.items()},
            "created_at": at,
            "updated_at": at,
            "pushed_at": at,
            "git_url": f"{web}.git",
            "ssh_url": f"{web}.git",
            "clone_url": f"{web}.git",
            "svn_url": web,
            "homepage": None,
            "size": 1,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": "Python",
            "has_issues": True,
            "has_projects": False,
            "has_downloads": True,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": 0,
            "mirror_url": None,
            "archived": False,
            "disabled": False,
            "open_issues_count": 0,
            "license": None,
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": [],
            "visibility": "private",
            "forks": 0,
            "open_issues": 0,
            "watchers": 0,
            "default_branch": "main",
        }

    def end(self, ref: str, sha: str, repository: Json) -> Json:
        """Return one end of a pull request: its head or its base."""
        owner = repository["owner"]
        return {"label": f"{owner['login']}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": repository}

    def commit(self, full_name: str, commit: "Commit") -> Json:
        """Return a commit as the commits API has it."""
        api = f"{self.url}/repos/{full_name}"
        web = f"{self.url}/{full_name}/commit"
        person = {"name": "Mona", "email": "mona@example.com", "date": commit.date}
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", int(commit.sha[:8], 16)),
            "url": f"{api}/commits/{commit.sha}",
            "html_url": f"{web}/{commit.sha}",
            "comments_url": f"{api}/commits/{commit.sha}/comments",
            "commit": {
                "url": f"{api}/git/commits/{commit.sha}",
                "author": person,
                "committer": person,
                "message": commit.message,
                "tree": {"sha": commit.tree, "url": f"{api}/git/trees/{commit.tree}"},
                "comment_count": 0,
            },
            "author": None,
            "committer": None,
            "parents": [
                {"sha": parent, "url": f"{api}/commits/{parent}", "html_url": f"{web}/{parent}"}
                for parent in commit.parents
            ],
        }

    def file(self, full_name: str, path: str, ref: str, content: bytes) -> Json:
        """Return a file as the contents API has it."""
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        url = f"{self.url}/repos/{full_name}/contents/{path}?ref={ref}"
        git = f"{self.url}/repos/{full_name}/git/blobs/{blob}"
        html = f"{self.url}/{full_name}/blob/{ref}/{path}"
        return {
            "type": "file",
            "encoding": "base64",
            "size": len(content),
            "name": path.rpartition("/")[2],
            "path": path,
            "content": base64.encodebytes(content).decode(),
            "sha": blob,
            "url": url,
            "git_url": git,
            "html_url": html,
            "download_url": f"{self.url}/{full_name}/raw/{ref}/{path}",
            "_links": {"self": url, "git": git, "html": html},
        }


_NO_REACTIONS = {
    "total_count": 0,
    **dict.fromkeys(("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"), 0),
}


def issue_shape(pull: Json, url: str, user: Json) -> Json:
    """Return a pull request as the issue that it is, too; `url` is its repository's in the API."""
    number, web = pull["number"], pull["html_url"]
    same = ("id", "node_id", "number", "title", "body", "state", "created_at", "updated_at", "closed_at", "html_url")
    issue = f"{url}/issues/{number}"
    return {
        **{key: pull[key] for key in same},
        "pull_request": {
            "url": f"{url}/pulls/{number}",
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
        },
        "user": user,
        "labels": [],
        "assignee": None,
        "assignees": [],
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "author_association": "NONE",
        "comments": 1,
        "url": issue,
        "repository_url": url,
        "comments_url": f"{issue}/comments",
        "events_url": f"{issue}/events",
        "labels_url": issue + "/labels{/name}",
        "timeline_url": f"{issue}/timeline",
        "reactions": {"url": f"{issue}/reactions", **_NO_REACTIONS},
    }


def comment_shape(comment: Json, url: str, user: Json) -> Json:
    """Return a comment under an issue, written by `user`; `url` is its repository's in the API."""
    reactions = {"url": f"{url}/issues/comments/{comment['id']}/reactions", **_NO_REACTIONS}
    more = {"user": user, "author_association": "NONE", "performed_via_github_app": None, "reactions": reactions}
    return {**comment, **more}


@dataclass(frozen=True, slots=True)
class Commit:
    """What git knows of a commit."""

    sha: str
    tree: str
    message: str
    date: str
    parents: tuple[str, ...] = ()
