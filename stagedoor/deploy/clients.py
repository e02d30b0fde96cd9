"""Ways into AWS: one identity for each phase, and a last question before each call that changes something."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials

from stagedoor.deploy.access import EXPIRED
from stagedoor.deploy.descriptions import Descriptions
from stagedoor.deploy.pace import Budget, Busy
from stagedoor.errors import TargetUnusable
from stagedoor.target import Target

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import StackStatusType
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient

Service = Literal["cloudformation", "s3", "logs", "ssm", "sts", "lambda", "stepfunctions", "ecr"]

_READS = re.compile(r"^(Get|List|Describe|Head|AssumeRole|Validate|Estimate|Detect)")
"""Operations that change nothing, by the verb that their names begin with."""

_DESCRIPTIONS = Descriptions()
"""The descriptions of the services, read once a process."""

_SESSION_SECONDS = 3600
"""How long an assumed role's credentials last; an hour is also the limit when one role assumes another
(https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html)."""

_BUSY: "list[StackStatusType]" = [
    "CREATE_IN_PROGRESS",
    "DELETE_IN_PROGRESS",
    "IMPORT_IN_PROGRESS",
    "IMPORT_ROLLBACK_IN_PROGRESS",
    "ROLLBACK_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_IN_PROGRESS",
]

_RENEWALS = 3
"""How often one request is sent again with new credentials."""


class WrongAccount(TargetUnusable):
    """The credentials belong to another account than the target names."""

    id = "wrong-account"


def new_session() -> botocore.session.Session:
    """Return a session that reads the descriptions of the services no second time.

    It is botocore's: boto3's adds transfers and resources, which nobody here uses and everybody would wait for.
    """
    session = botocore.session.Session()
    session.register_component("data_loader", _DESCRIPTIONS)
    return session


class Phase(StrEnum):
    """What a client is used for, and so whose identity it has."""

    DEPLOY = "deploy"
    PUBLISH = "publish"
    LOOKUP = "lookup"


def change_freely() -> None:
    """Ask nothing before a change: whoever runs alone with a stage holds it."""


class Clients:
    """The AWS SDK's clients for a target, made when first wanted and safe to share between threads.

    Each phase uses its role of the target, assumed with the external id and assumed anew when the credentials expire;
    a phase without a role uses the process's own credentials. `before_change` runs immediately before each attempt of
    each request that changes something is sent, and stops it by raising (`LeaseLost`): a process that was frozen while
    its lease ran out and then let go does not send what it had prepared. `own` is a session of the process's own
    credentials that is known to be in the target's account: it is not asked once more.
    """

    def __init__(
        self,
        target: Target,
        *,
        before_change: Callable[[], None] = change_freely,
        user_agent: str = "",
        own: botocore.session.Session | None = None,
    ) -> None:
        self.target = target
        self.looks = Budget()
        self.busy = Busy(self._busy_stacks)
        self._before_change = before_change
        self._user_agent = user_agent
        self._sessions: dict[str | None, botocore.session.Session] = {None: own} if own else {}
        self._roles: dict[str, _TargetRole] = {}
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._checked: set[str | None] = {None} if own else set()
        self._lock = threading.RLock()

    @property
    def cloudformation(self) -> "CloudFormationClient":
        """CloudFormation, as the deploying identity."""
        return self.client("cloudformation", Phase.DEPLOY)

    @overload
    def client(self, service: Literal["cloudformation"], phase: Phase) -> "CloudFormationClient": ...
    @overload
    def client(self, service: Literal["lambda"], phase: Phase) -> "LambdaClient": ...
    @overload
    def client(self, service: Literal["stepfunctions"], phase: Phase) -> Any: ...
    @overload
    def client(self, service: Literal["s3"], phase: Phase) -> "S3Client": ...
    @overload
    def client(self, service: Literal["logs"], phase: Phase) -> "CloudWatchLogsClient": ...
    @overload
    def client(self, service: Literal["ssm"], phase: Phase) -> "SSMClient": ...
    @overload
    def client(self, service: Literal["sts"], phase: Phase) -> "STSClient": ...
    @overload
    def client(self, service: Literal["ecr"], phase: Phase) -> "ECRClient": ...
    def client(self, service: Service, phase: Phase) -> Any:
        """Return the client of a service for a phase. Raises `WrongAccount` when the identity is another account's."""
        role = self._role(phase)
        if (made := self._clients.get((service, role))) is not None:  # while another is made, nobody waits for this one
            return made
        with self._lock:
            if (service, role) not in self._clients:
                self._check_account(role)
                self._clients[service, role] = self._make(service, role)
            return self._clients[service, role]

    def lookup(self, service: str) -> Any:
        """Return the client of any service, by boto3's name for it, as the identity that only looks."""
        return self.client(cast(Service, service), Phase.LOOKUP)

    def ask_before_change(self) -> None:
        """Ask what is asked before each change; for one that is made by another program than the AWS SDK."""
        self._before_change()

    def _busy_stacks(self) -> frozenset[str]:
        """Return the ARNs of all stacks that are worked on."""
        pages = self.cloudformation.get_paginator("list_stacks").paginate(StackStatusFilter=_BUSY)
        return frozenset(summary.get("StackId", "") for page in pages for summary in page["StackSummaries"])

    def _role(self, phase: Phase) -> str | None:
        roles = {
            Phase.DEPLOY: self.target.deploy_role,
            Phase.PUBLISH: self.target.publish_role,
            Phase.LOOKUP: self.target.lookup_role,
        }
        return roles[phase]

    def _check_account(self, role: str | None) -> None:
        if role in self._checked:
            return
        account = self._make("sts", role).get_caller_identity()["Account"]
        if account != self.target.account:
            raise WrongAccount(
                f"The credentials in use belong to account {account}, but the target {self.target.name!r} is account "
                f"{self.target.account}.",
                "Use credentials of that account, or correct the target.",
            )
        self._checked.add(role)

    def _make(self, service: Service, role: str | None) -> Any:
        client = self._session(role).create_client(service, self.target.region, config=self._config(service))
        client.meta.events.register("before-send", self._ask_before_change)
        if role is not None:
            client.meta.events.register("needs-retry", cast(Any, partial(self._renew, self._roles[role])))
        return client

    def _config(self, service: Service) -> Config:
        # CloudFormation's limits are an account's, shared by every stage in it: there the client slows down by itself.
        mode: Literal["adaptive", "standard"] = "adaptive" if service == "cloudformation" else "standard"
        return Config(
            retries={"mode": mode, "max_attempts": 8},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
            # What is uploaded bears its SHA-256 in a signed header: the signature need not read it all once more.
            s3={"payload_signing_enabled": False},
            user_agent_extra=self._user_agent or None,
        )

    def _ask_before_change(self, event_name: str, **_: Any) -> None:
        operation = event_name.rsplit(".", 1)[-1]
        if not _READS.match(operation):
            self._before_change()

    @staticmethod
    def _renew(role: "_TargetRole", response: Any, attempts: int, **_: Any) -> float | None:
        """Have a request that AWS refused for its role's credentials sent again at once, with new ones."""
        code = response[1].get("Error", {}).get("Code") if response else None
        if code not in EXPIRED or attempts > _RENEWALS:
            return None
        role.stale = True
        return 0.0

    def _session(self, role: str | None) -> botocore.session.Session:
        if role not in self._sessions:
            session = new_session()
            if role is not None:
                self._roles[role] = _TargetRole(self, role)
                session.register_component("credential_provider", CredentialResolver([self._roles[role]]))
            self._sessions[role] = session
        return self._sessions[role]

    def assume(self, role: str) -> dict[str, str]:
        """Return fresh credentials of a role of the target, in the shape that botocore refreshes from."""
        sts = self._make("sts", None)
        wanted: dict[str, Any] = {
            "RoleArn": role,
            "RoleSessionName": "stagedoor",
            "DurationSeconds": _SESSION_SECONDS,
        }
        if self.target.external_id:
            wanted["ExternalId"] = self.target.external_id
        given = sts.assume_role(**wanted)["Credentials"]
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }


class _TargetRole(CredentialProvider):
    """Tells botocore where a role's credentials come from; it fetches them anew before they expire.

    `stale`: AWS did not accept them although they should have lasted; they are fetched anew when they are next used.
    """

    METHOD = "stagedoor-target-role"

    def __init__(self, clients: Clients, role: str) -> None:
        super().__init__()
        self.stale = False
        self._clients = clients
        self._role = role

    def load(self) -> DeferredRefreshableCredentials:
        """Return credentials that are fetched when they are first used."""
        return DeferredRefreshableCredentials(self._fetch, self.METHOD, time_fetcher=self._now)

    def _fetch(self) -> dict[str, str]:
        self.stale = False
        return self._clients.assume(self._role)

    def _now(self) -> datetime:
        """Return the time by which botocore judges whether they have expired."""
        now = datetime.now(UTC)
        return now + timedelta(days=1) if self.stale else now
