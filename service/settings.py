"""The service's settings, typed, from the environment (prefix `STAGEDOOR_`).

Everything has a default that serves on a laptop, except what must never have one: the webhook's secret.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stagedoor.errors import UserError

MIN_WEBHOOK_SECRET = 16
MIN_TOKEN_KEY = 32
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
DAYS_OF_REDELIVERY = 3


class SettingsInvalid(UserError):
    """The service cannot start with the settings that it was given."""

    id = "settings-invalid"


class Settings(BaseSettings):
    """What an operator sets. Durations are in seconds.

    `github_webhook_secrets` holds one secret or, while it is being changed, two, parted by a comma: both are valid.
    `data_dir` is where SQLite, the embedded queue, blobs and working trees live when no other place is named.
    """

    model_config = SettingsConfigDict(env_prefix="STAGEDOOR_", extra="ignore", frozen=True, populate_by_name=True)

    data_dir: Path = Path(".stagedoor/service")
    database_url: str = ""
    redis_url: str = ""
    blob_url: str = ""  # s3://bucket/prefix; empty: a folder in data_dir
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = ""
    console_password: SecretStr = SecretStr("")  # needed to read pages and logs when not on loopback

    github_app_id: int = 0
    github_private_key: SecretStr = SecretStr("")
    github_private_key_file: Path | None = None
    github_webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        validation_alias=AliasChoices("STAGEDOOR_GITHUB_WEBHOOK_SECRETS", "STAGEDOOR_GITHUB_WEBHOOK_SECRET"),
    )
    token_key: SecretStr = SecretStr("")  # of login, stage and function tokens; empty: from the App's private key
    github_api_url: str = "https://api.github.com"
    github_web_url: str = "https://github.com"

    oidc_issuers: Annotated[tuple[str, ...], NoDecode] = ()  # of workflows' tokens; empty: GitHub's own

    targets_file: Path | None = None
    targets: str = ""  # the same as text, where there is no file to be had
    synth_user: str = ""  # an account of the machine that repository code runs as; needs root
    synth_seconds: float = 600
    synth_memory_mb: int = 4096
    synth_confinement: Literal["best", "required"] = "best"  # required: no worker starts where the kernel grants little
    warm_memory_mb: int = Field(default=512, ge=0)  # of all processes of a worker that wait for a synth; 0: none wait

    lease_seconds: float = 30
    heartbeat_seconds: float = 5
    ring_seconds: float = 0.2  # how often the ringer looks for stages that are behind
    ring_again_seconds: float = 5  # after which a ring that nobody answered is repeated
    retry_seconds: float = 5  # before the first retry of an error of ours; doubles up to ten minutes
    verify_seconds: float = 900  # how often what GitHub last said is read again, as webhooks get lost

    assembly_bytes: int = 1024**3  # an assembly whose files are larger is not kept, and cannot be deployed again
    upload_bytes: int = 512 * 1024**2  # of an assembly's zip archive that comes by the API
    assemblies_kept: int = Field(default=10, ge=1)  # of each stage, beside what is live or wanted
    workflow_seconds: float = 3600  # how long a run waits for a workflow's assembly
    workflow_look_seconds: float = 60  # how often GitHub is asked for it when no webhook comes
    fork_synth: bool = False  # whether the code of a fork that a maintainer approved may be run by the service itself

    delivery_days: float = 30  # how long webhooks are kept that were acted on
    log_days: float = 90  # how long runs' logs are kept; the newest run of a stage keeps its own
    source_days: float = 90  # after which branches and pull requests that left nothing behind are forgotten
    invocation_days: float = 7  # how long it is kept what went through tunnels
    payload_days: float = 1  # and events and results, of stages that keep them at all
    drain_seconds: float = 5  # how long a web process that stops lets invocations end before they move on
    health_dir: Path | None = None  # where each role leaves its sign of life, for `python -m service.health`
    internal_url: str = ""  # where other web processes reach this one; needed where there are several and a Redis

    def __init__(self, **values: Any) -> None:
        """Read the environment. Raises `SettingsInvalid`, which names the variable and shows no value."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)[0]
            name = str(wrong["loc"][0])
            variable = name if name.startswith("STAGEDOOR_") else f"STAGEDOOR_{name.upper()}"
            raise SettingsInvalid(
                f"{variable} cannot be read: {wrong['msg'][:1].lower()}{wrong['msg'][1:]}.",
                f"Put {variable} right; docs/operating.md lists what can be set.",
            ) from None

    @field_validator("github_webhook_secrets", "oidc_issuers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @cached_property
    def database(self) -> str:
        """Return the database's URL; PostgreSQL's is made to name its driver."""
        url = self.database_url or f"sqlite:///{self.data_dir.absolute()}/stagedoor.sqlite"
        for short in ("postgres://", "postgresql://"):
            if url.startswith(short):
                return "postgresql+psycopg://" + url.removeprefix(short)
        return url

    @cached_property
    def url(self) -> str:
        """Return the URL under which people and GitHub reach the service, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @cached_property
    def private_key(self) -> str:
        """Return the GitHub App's private key in PEM."""
        if self.github_private_key_file:
            try:
                return self.github_private_key_file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsInvalid(
                    f"The GitHub App's private key cannot be read: {type(error).__name__}.",
                    f"Put it into {self.github_private_key_file}, where STAGEDOOR_GITHUB_PRIVATE_KEY_FILE points, and "
                    "let this user read it.",
                ) from None
        return self.github_private_key.get_secret_value().replace("\\n", "\n")

    @cached_property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Return the secrets with which a delivery may be signed."""
        return tuple(secret.get_secret_value() for secret in self.github_webhook_secrets)

    @cached_property
    def on_loopback(self) -> bool:
        """Tell whether only this machine can reach the service."""
        return self.host in LOOPBACK and urlsplit(self.url).hostname in LOOPBACK

    def check(self) -> None:
        """Raise `SettingsInvalid` when the service must not start with these settings."""
        if not self.webhook_secrets or any(len(secret) < MIN_WEBHOOK_SECRET for secret in self.webhook_secrets):
            raise SettingsInvalid(
                f"The webhook's secret is missing or shorter than {MIN_WEBHOOK_SECRET} characters.",
                "Set STAGEDOOR_GITHUB_WEBHOOK_SECRETS to the GitHub App's secret; `openssl rand -hex 32` makes one.",
            )
        if not self.github_app_id or not self.private_key:
            raise SettingsInvalid(
                "The GitHub App's id or its private key is missing.",
                "Set STAGEDOOR_GITHUB_APP_ID and STAGEDOOR_GITHUB_PRIVATE_KEY_FILE from the App's page on GitHub.",
            )
        if 0 < len(self.token_key.get_secret_value()) < MIN_TOKEN_KEY:
            raise SettingsInvalid(
                f"The key of the service's tokens is shorter than {MIN_TOKEN_KEY} characters.",
                "Set STAGEDOOR_TOKEN_KEY to what `openssl rand -hex 32` prints, or leave it out.",
            )
        if self.delivery_days < DAYS_OF_REDELIVERY:
            raise SettingsInvalid(
                f"GitHub may repeat a delivery that was kept for {self.delivery_days} days after it is forgotten.",
                f"Set STAGEDOOR_DELIVERY_DAYS to at least {DAYS_OF_REDELIVERY}.",
            )
        if self.heartbeat_seconds * 3 > self.lease_seconds:
            raise SettingsInvalid(
                f"A lease of {self.lease_seconds} s is too short for a heartbeat every {self.heartbeat_seconds} s.",
                "Set STAGEDOOR_LEASE_SECONDS to at least three heartbeats.",
            )
