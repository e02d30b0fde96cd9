"""What the overlay answers by itself: what git knows, and what the emulator lacks."""

import json
import re
from collections.abc import Callable
from typing import Any, Protocol

from demo.github.exchange import Answer, Refused, Request, json_answer
from demo.github.workflow_runs import STORAGE, WorkflowRun
from demo.github.world import Access, LocalRepository, World


class Overlay(Protocol):
    """What a route needs of the overlay."""

    world: World

    def forward(self, request: Request) -> Answer:
        """Hand a request on to the emulator."""
        ...


Route = Callable[[Overlay, Request, LocalRepository, Access, dict[str, str]], Answer]
ROUTES: list[tuple[str, re.Pattern[str], str, str, Route]] = []


def _route(method: str, pattern: str, permission: str, level: str = "read") -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        ROUTES.append((method, re.compile(pattern), permission, level, function))
        return function

    return register


# --- What the git repository knows ------------------------------------------------------------------------------------


@_route("GET", r"/contents/(?P<path>.+)", "contents")
def _contents(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    ref = request.parameter("ref") or "main"
    content = repository.git.read(ref, parts["path"])
    if content is None:
        raise Refused(404, "Not Found")
    return json_answer(200, overlay.world.place.file(repository.full_name, parts["path"], ref, content))


@_route("GET", r"/branches/(?P<branch>.+)", "contents")
def _branch(
    overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    sha = repository.git.find(f"refs/heads/{parts['branch']}")
    if sha is None:
        raise Refused(404, "Branch not found")
    place = overlay.world.place
    api = f"{place.url}/repos/{repository.full_name}/branches/{parts['branch']}"
    branch = {
        "name": parts["branch"],
        "commit": place.commit(repository.full_name, repository.commit(sha)),
        "_links": {"self": api, "html": f"{place.url}/{repository.full_name}/tree/{parts['branch']}"},
        "protected": False,
        "protection": {"enabled": False},
        "protection_url": f"{api}/protection",
    }
    return json_answer(200, branch)


@_route("GET", r"/commits/(?P<ref>[^/]+)/check-runs", "checks")
def _check_runs(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    # The emulator lists the check runs only of commits that it made itself.
    sha = repository.git.resolve(parts["ref"])
    runs = [check_run(overlay, request, repository, number) for number in repository.check_runs.get(sha, [])]
    name = request.parameter("check_name")
    runs = [run for run in reversed(runs) if name is None or run["name"] == name]
    return json_answer(200, {"total_count": len(runs), "check_runs": runs})


def check_run(overlay: Overlay, request: Request, repository: LocalRepository, number: int) -> dict[str, Any]:
    """Return one check run as the emulator has it."""
    path = f"/repos/{repository.full_name}/check-runs/{number}"
    answer = overlay.forward(Request("GET", path, "", {"Authorization": request.headers["Authorization"]}, b""))
    run: dict[str, Any] = json.loads(answer.body)
    run["app"] = overlay.world.app
    run["pull_requests"] = overlay.world.pulls_of(repository, run["head_sha"])
    return run


@_route("GET", r"/check-runs/\d+/annotations", "checks")
def _annotations(
    overlay: Overlay, request: Request, _repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    # GitHub answers with the list itself.
    answer = overlay.forward(request)
    return json_answer(200, json.loads(answer.body)["check_annotations"]) if answer.status == 200 else answer


@_route("GET", r"/commits/(?P<ref>[^/]+)", "contents")
def _commit(
    overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    commit = repository.commit(repository.git.resolve(parts["ref"]))
    return json_answer(200, overlay.world.place.commit(repository.full_name, commit))


@_route("GET", r"/pulls/(?P<number>\d+)/files", "pull_requests")
def _files(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    pull = repository.pulls.get(int(parts["number"]))
    if pull is None:
        raise Refused(404, "Not Found")
    changes = repository.git.changes(pull.base_sha, pull.head_sha)
    size = int(request.parameter("per_page") or 30)
    start = (int(request.parameter("page") or 1) - 1) * size
    api = f"{overlay.world.place.url}/repos/{repository.full_name}"
    files = [
        {
            "sha": None,
            "filename": change.path,
            "status": change.status,
            "additions": 1,
            "deletions": 0,
            "changes": 1,
            "blob_url": f"{api}/blob/{pull.head_sha}/{change.path}",
            "raw_url": f"{api}/raw/{pull.head_sha}/{change.path}",
            "contents_url": f"{api}/contents/{change.path}?ref={pull.head_sha}",
        }
        for change in changes[start : start + size]
    ]
    more = start + size < len(changes)
    answer = json_answer(200, files)
    if more:
        page = int(request.parameter("page") or 1) + 1
        answer.headers.append(("Link", f'<{api}/pulls/{pull.number}/files?per_page={size}&page={page}>; rel="next"'))
    return answer


@_route("GET", r"/pulls/(?P<number>\d+)", "pull_requests")
def _pull(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    answer = overlay.forward(request)
    if answer.status != 200:
        return answer
    ends = overlay.world.pull_ends(repository, repository.pulls[int(parts["number"])])
    return json_answer(200, {**json.loads(answer.body), **ends})


# --- What the emulator lacks: deployments, environments, commit statuses ----------------------------------------------


@_route("POST", r"/deployments", "deployments", "write")
def _create_deployment(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    wish = request.json
    sha = repository.git.find(wish["ref"])
    if sha is None:
        raise Refused(422, f"No ref found for: {wish['ref']}")
    made = repository.deployments.create(next(overlay.world.ids), sha, wish, overlay.world.bot)
    return json_answer(201, made)


@_route("GET", r"/deployments", "deployments")
def _list_deployments(
    _overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    wanted = {key: value for key in ("sha", "ref", "task", "environment") if (value := request.parameter(key))}
    return json_answer(200, repository.deployments.matching(**wanted))


@_route("GET", r"/deployments/(?P<number>\d+)", "deployments")
def _get_deployment(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    found = repository.deployments.find(int(parts["number"]))
    if found is None:
        raise Refused(404, "Not Found")
    return json_answer(200, found)


@_route("POST", r"/deployments/(?P<number>\d+)/statuses", "deployments", "write")
def _create_deployment_status(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    number = int(parts["number"])
    if repository.deployments.find(number) is None:
        raise Refused(404, "Not Found")
    world = overlay.world
    return json_answer(201, repository.deployments.add_status(number, next(world.ids), request.json, world.bot))


@_route("GET", r"/deployments/(?P<number>\d+)/statuses", "deployments")
def _list_deployment_statuses(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    if repository.deployments.find(int(parts["number"])) is None:
        raise Refused(404, "Not Found")
    return json_answer(200, repository.deployments.statuses(int(parts["number"])))


@_route("GET", r"/environments", "actions")
def _environments(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    found = repository.deployments.environments()
    return json_answer(200, {"total_count": len(found), "environments": found})


@_route("POST", r"/statuses/(?P<sha>[0-9a-f]{40})", "statuses", "write")
def _create_status(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    status = {"id": next(overlay.world.ids), "context": "default", "creator": overlay.world.bot, **request.json}
    repository.statuses.setdefault(parts["sha"], []).insert(0, status)
    return json_answer(201, status)


@_route("GET", r"/commits/(?P<ref>[^/]+)/statuses", "statuses")
def _list_statuses(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    return json_answer(200, repository.statuses.get(repository.git.resolve(parts["ref"]), []))


# --- What the emulator answers for its own users only -----------------------------------------------------------------


@_route("GET", r"/collaborators/(?P<login>[^/]+)/permission", "metadata")
def _collaborator_permission(
    overlay: Overlay, _request: Request, _repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    login = parts["login"].lower()
    person = overlay.world.person(login)
    if person is None:
        raise Refused(404, "Not Found")
    role = person.permission
    user = overlay.world.place.user(login, person.number)
    return json_answer(200, {"permission": role, "role_name": role, "user": user})


# --- Workflow runs and their artifacts --------------------------------------------------------------------------------


@_route("GET", r"/actions/runs", "actions")
def _workflow_runs(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    sha = request.parameter("head_sha")
    found = [run for run in reversed(repository.workflow_runs.values()) if sha in (None, run.head_sha)]
    shapes = [workflow_run(overlay.world, repository, run) for run in found]
    return json_answer(200, {"total_count": len(shapes), "workflow_runs": shapes[: _page_size(request)]})


@_route("GET", r"/actions/runs/(?P<number>\d+)/artifacts", "actions")
def _artifacts(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    run = repository.workflow_runs.get(int(parts["number"]))
    if run is None:
        raise Refused(404, "Not Found")
    name = request.parameter("name")
    found = [
        run.artifact(overlay.world.place, repository.full_name, each)
        for each in run.artifacts.values()
        if name in (None, each.name)
    ]
    return json_answer(200, {"total_count": len(found), "artifacts": found[: _page_size(request)]})


@_route("GET", r"/actions/artifacts/(?P<number>\d+)/zip", "actions")
def _artifact_zip(
    overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    number = int(parts["number"])
    for run in repository.workflow_runs.values():
        artifact = run.artifacts.get(number)
        if artifact is not None and not artifact.expired:
            # GitHub's storage is another host, whose address is good for a minute and needs no token.
            url = f"{overlay.world.place.url}{STORAGE}/{repository.number}/{run.id}/{number}?sig={artifact.signature}"
            return Answer(302, b"", [("Location", url)])
    raise Refused(410, "Artifact has expired")


def stored_artifact(world: World, request: Request) -> Answer:
    """Answer as GitHub's storage does: it knows the signature in the address, and objects to a token."""
    repository, run, number = (int(part) for part in request.path.removeprefix(STORAGE).strip("/").split("/"))
    holder = next(each for each in world.repositories.values() if each.number == repository)
    artifact = holder.workflow_runs[run].artifacts[number]
    if request.headers.get("Authorization") or request.parameter("sig") != artifact.signature:
        return Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>", [("Content-Type", "application/xml")])
    return Answer(200, artifact.data, [("Content-Type", "application/zip")])


def workflow_run(world: World, repository: LocalRepository, run: WorkflowRun) -> dict[str, Any]:
    """Return a workflow run as the API has it."""
    head = run.fork or repository.shape
    commit = repository.commit(run.head_sha)
    pulls = [] if run.fork else world.pulls_of(repository, run.head_sha)
    return run.shape(world.place, repository.shape, head, world.developer, commit, pulls)


def _page_size(request: Request) -> int:
    return int(request.parameter("per_page") or 30)
