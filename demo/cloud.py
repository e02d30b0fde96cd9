"""Everything that the story is told on, started on loopback and ended together: AWS, GitHub, the service."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.account import Account
from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from demo.github.server import LocalGitHub
from demo.service import Service
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.events import silent
from stagedoor.target import Target

ACCOUNT = DEFAULT_ACCOUNT
REGION = "us-east-1"


class Cloud:
    """The laptop cloud; use it as a context manager. All that it writes is below `state`.

    `aws` is bootstrapped, `github` sends its webhooks to `service`, and `empty` is what the account holds before the
    first stage. With no `workers` the service deploys nothing by itself. `more` are settings of it by variable.
    """

    def __init__(self, state: Path, workers: int = 2, more: Mapping[str, str] | None = None) -> None:
        self.state = state
        self._workers = workers
        self._more = more or {}
        self.aws = LocalAws(state / "aws")
        self.github = LocalGitHub()
        self.account: Account
        self.service: Service
        self.empty: frozenset[str] = frozenset()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            # GitHub is a Node program and AWS a Python one: each is busy with its own start on a core of its own.
            with ThreadPoolExecutor(1) as beside:
                github = beside.submit(starting.enter_context, self.github)
                self._start_aws(starting)
                github.result()
            self.service = starting.enter_context(Service(self._settings(), self.state, self._workers))
            self.github.webhook_url = f"{self.service.url}/webhooks/github"
            self._stack = starting.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def _start_aws(self, starting: ExitStack) -> None:
        starting.enter_context(self.aws)
        environment = self.aws.environment(ACCOUNT, REGION)
        target = Target(name="local", account=ACCOUNT, region=REGION)
        with _environment(environment):
            bootstrap(Clients(target), target, silent)
        self.account = Account(environment)
        self.empty = frozenset(self.account.resources())

    def _settings(self) -> dict[str, str]:
        """Write the App's key down and return the service's whole configuration."""
        key = self.state / "github-app.pem"
        key.touch(mode=0o600)
        key.write_text(self.github.private_key)
        return {
            **self.aws.environment(ACCOUNT, REGION),
            "STAGEDOOR_GITHUB_APP_ID": str(self.github.app_id),
            "STAGEDOOR_GITHUB_PRIVATE_KEY_FILE": str(key),
            "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": self.github.webhook_secret,
            "STAGEDOOR_GITHUB_API_URL": self.github.api_url,
            "STAGEDOOR_GITHUB_WEB_URL": self.github.web_url,
            **self._more,
        }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Let AWS's SDK in this process find the local AWS, for as long as that is wanted."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
