"""What is said under a pull request, and what workflows do there."""

from collections.abc import Mapping

from demo.github.deliveries import Deliveries
from demo.github.payloads import Payloads
from demo.github.routes import workflow_run
from demo.github.shapes import Json, comment_shape, issue_shape
from demo.github.workflow_runs import WorkflowRun
from demo.github.world import DEVELOPER, LocalRepository, Person, World


class Conversation:
    """A part of the local GitHub (`server.LocalGitHub`), which starts it and has the rest."""

    _world: World
    _deliveries: Deliveries
    _payloads: Payloads

    def pull(self, repository: LocalRepository, number: int) -> Json:
        """Return a pull request as the API has it."""
        raise NotImplementedError

    def comment(self, repository: LocalRepository, number: int, body: str) -> Json:
        """Write a comment as the developer."""
        raise NotImplementedError

    def begin_workflow(
        self,
        repository: LocalRepository,
        sha: str,
        *,
        event: str = "pull_request",
        branch: str = "",
        fork: LocalRepository | None = None,
        name: str = "preview",
    ) -> int:
        """Have a workflow of the repository begin to run for a commit, of a fork where one is named; return its id."""
        number = next(self._world.ids)
        repository.workflow_runs[number] = WorkflowRun(number, sha, event, branch, name, fork.shape if fork else None)
        return number

    def leave_artifacts(self, repository: LocalRepository, number: int, artifacts: Mapping[str, bytes]) -> None:
        """Have a workflow's run leave artifacts (zip files by name) while it goes on."""
        for name, data in artifacts.items():
            repository.workflow_runs[number].leave(next(self._world.ids), name, data)

    def end_workflow(
        self,
        repository: LocalRepository,
        number: int,
        artifacts: Mapping[str, bytes] | None = None,
        conclusion: str = "success",
        *,
        deliver: bool = True,
    ) -> None:
        """End a workflow's run, which leaves artifacts (zip files by name); GitHub sends `workflow_run`."""
        run = repository.workflow_runs[number]
        self.leave_artifacts(repository, number, artifacts or {})
        run.status, run.conclusion = "completed", conclusion
        payload = self._payloads.workflow_run(repository, workflow_run(self._world, repository, run))
        self._deliveries.send("workflow_run", payload, deliver=deliver)

    def say(
        self,
        repository: LocalRepository,
        number: int,
        body: str,
        *,
        login: str = DEVELOPER,
        permission: str = "write",
        action: str = "created",
        deliver: bool = True,
    ) -> None:
        """Have somebody comment on a pull request (or edit a comment); GitHub sends `issue_comment`.

        Somebody new may do with the repositories what `permission` says.
        """
        world = self._world
        if login != DEVELOPER:
            world.people.setdefault(login, Person(next(world.ids), permission))
        person = world.person(login)
        if person is None:
            raise LookupError(login)
        comment = self.comment(repository, number, body)
        url = f"{world.place.url}/repos/{repository.full_name}"
        payload = self._payloads.issue_comment(
            repository,
            issue_shape(self.pull(repository, number), url, world.developer),
            comment_shape(comment, url, world.place.user(login, person.number)),
            action,
        )
        self._deliveries.send("issue_comment", payload, deliver=deliver)
