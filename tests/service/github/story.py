"""A pull request whose rows a test moves on, as webhooks, the reconciler and runs would, and then tells of."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.database import Sessions
from service.github.client import GitHubClients
from service.github.tell import tell
from service.models import App, Intent, Outcome, Repository, Run, RunKind, Source, Stage, StageKind, Told, Want
from service.settings import Settings
from stagedoor.target import Trust
from tests.service.github.recorder import Recorder
from tests.service.rows import T0, add_repository, add_source, add_target

URL = "https://abc.execute-api.eu-central-1.amazonaws.com/"


class Story:
    def __init__(
        self,
        github: LocalGitHub,
        notes: LocalRepository,
        sessions: Sessions,
        recorder: Recorder,
        settings: Settings,
    ) -> None:
        self.github, self.notes, self.sessions, self.recorder, self.settings = (
            github,
            notes,
            sessions,
            recorder,
            settings,
        )
        self.clients = GitHubClients(settings)
        self.commit = github.push(notes, "shorter", {"app.py": "answer = 2\n"})
        self.number = github.open_pull_request(notes, "shorter", "main", "Shorter")
        with sessions.begin() as session:
            repository = add_repository(session, notes.full_name, notes.number)
            repository.host.api_url = recorder.url
            repository.host.web_url = github.web_url
            assert repository.installation
            repository.installation.github_id = github.installation_id
            source = add_source(session, repository, self.number)
            source.head_sha = self.commit
            self.source_id, self.repository_id = source.id, repository.id
            self.target_id = add_target(session).id

    # --- What the service's other parts do ---

    def add_stage(self, app: str = "notes", outputs: Any = None) -> int:
        with self.sessions.begin() as session:
            row = App(repository_id=self.repository_id, name=app, created_at=T0)
            session.add(row)
            session.flush()
            stage = Stage(
                app_id=row.id,
                source_id=self.source_id,
                target_id=self.target_id,
                name=f"pr-{self.number}",
                kind=StageKind.PREVIEW,
                frozen_target={},
                prefix=f"{app}-pr-{self.number}",
                trust=Trust.PREVIEW,
                last_activity_at=T0,
                created_at=T0,
            )
            session.add(stage)
            session.flush()
            return stage.id

    def want(self, stage_id: int, commit: str | None, show: tuple[str, ...] = ("*",)) -> None:
        """Append an intent; None: the stage is to be gone."""
        with self.sessions.begin() as session:
            stage = session.get_one(Stage, stage_id)
            stage.wanted_generation += 1
            session.add(
                Intent(
                    stage_id=stage_id,
                    generation=stage.wanted_generation,
                    want=Want.COMMIT if commit else Want.GONE,
                    commit=commit,
                    cause="pushed" if commit else "closed",
                    settings={"show": list(show)},
                    created_at=T0,
                )
            )
            if commit:
                session.get_one(Source, self.source_id).head_sha = commit

    def begin(self, stage_id: int, started_at: datetime = T0) -> int:
        """Begin a run for what is wanted now."""
        with self.sessions.begin() as session:
            stage = session.get_one(Stage, stage_id)
            intent = session.scalars(
                select(Intent).where(Intent.stage_id == stage_id, Intent.generation == stage.wanted_generation)
            ).one()
            run = Run(
                stage_id=stage_id,
                intent_id=intent.id,
                generation=intent.generation,
                fence=1,
                kind=RunKind.DEPLOY if intent.commit else RunKind.REMOVE,
                commit=intent.commit,
                phase="synth",
                started_at=started_at,
            )
            session.add(run)
            session.flush()
            return run.id

    def end(
        self,
        run_id: int,
        outcome: Outcome = Outcome.SUCCEEDED,
        error: dict[str, Any] | None = None,
        outputs: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """End a run, with what that means for its stage."""
        with self.sessions.begin() as session:
            run = session.get_one(Run, run_id)
            stage = session.get_one(Stage, run.stage_id)
            run.outcome, run.error, run.finished_at = outcome, error, run.started_at + timedelta(seconds=12)
            if outcome in {Outcome.SUCCEEDED, Outcome.UNCHANGED}:
                deployed = run.kind is RunKind.DEPLOY
                stage.live_commit = run.commit if deployed else None
                stage.outputs = (outputs or {"Notes": {"Url": URL}}) if deployed else {}
            if outcome not in {Outcome.ERRORED, Outcome.SUPERSEDED, Outcome.LOST}:
                stage.done_generation = run.generation

    def deploy(self, stage_id: int, commit: str | None = None, **ending: Any) -> int:
        """Want a commit and deploy it."""
        self.want(stage_id, commit or self.commit)
        run = self.begin(stage_id)
        self.end(run, **ending)
        return run

    def note(self, **note: Any) -> None:
        with self.sessions.begin() as session:
            session.get_one(Source, self.source_id).note = {"errors": [], **note} if note else None

    def push(self, files: dict[str, str | bytes | None] | None = None) -> str:
        return self.github.push(self.notes, "shorter", files or {"app.py": f"answer = {len(self.notes.pulls)}\n"})

    # --- What the test does ---

    def tell(self) -> list[str]:
        """Tell GitHub, and return the calls that changed something there."""
        before = len(self.recorder.writes())
        tell(self.sessions, self.clients, self.source_id, self.settings)
        return self.recorder.writes()[before:]

    # --- What a user sees ---

    def comments(self) -> list[str]:
        return [each["body"] for each in self.github.comments(self.notes, self.number)]

    def comment(self) -> str:
        (body,) = self.comments()
        return str(body)

    def check(self, commit: str | None = None) -> dict[str, Any]:
        (run,) = self.github.check_runs(self.notes, commit or self.commit)
        return run

    def deployments(self) -> list[tuple[str, str]]:
        """Commit and state of each deployment, oldest first."""
        return [(each["sha"], each["state"]) for each in reversed(self.github.deployments(self.notes))]

    def repository(self) -> Repository:
        with self.sessions() as session:
            repository = session.get_one(Repository, self.repository_id)
            _ = repository.host, repository.installation
            return repository

    def told(self) -> dict[str, tuple[int | None, str]]:
        with self.sessions() as session:
            rows = session.scalars(select(Told).where(Told.source_id == self.source_id))
            return {row.key: (row.github_id, row.state) for row in rows}
