"""GitHub Actions' OIDC issuer for tests: discovery, keys, and the door at which a job asks for its token.

    with OidcIssuer() as issuer:
        Settings(oidc_issuers=issuer.url, …)
        token = issuer.mint(JobClaims(repository_id=7, owner_id=1), audience="https://stages.example.com")
        environment = issuer.job_environment(JobClaims(…))  # what a runner has in its environment, to ask by itself

Shapes: https://docs.github.com/en/actions/reference/security/oidc.
"""

import json
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

LIFE_SECONDS = 300
_REQUEST_PATH = "/actions/idtoken"


@dataclass(frozen=True)
class JobClaims:
    """What is true of a job. `more` replaces or adds claims; None takes one away."""

    repository_id: int
    owner_id: int
    repository: str = "acme/notes"
    event: str = "push"
    ref: str = "refs/heads/main"
    sha: str = "c" * 40
    environment: str = ""
    actor: str = "mona"
    run_id: int = 4242
    run_attempt: int = 1
    immutable_sub: bool = True
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_claims(self) -> dict[str, Any]:
        """Return the claims as GitHub writes them: ids are text."""
        owner, _, name = self.repository.partition("/")
        claims = {
            "sub": self._sub(owner, name),
            "repository": self.repository,
            "repository_id": str(self.repository_id),
            "repository_owner": owner,
            "repository_owner_id": str(self.owner_id),
            "repository_visibility": "private",
            "event_name": self.event,
            "ref": self.ref,
            "ref_type": "tag" if self.ref.startswith("refs/tags/") else "branch",
            "ref_protected": "false",
            "head_ref": "",
            "base_ref": "",
            "sha": self.sha,
            "actor": self.actor,
            "actor_id": "102",
            "run_id": str(self.run_id),
            "run_number": "7",
            "run_attempt": str(self.run_attempt),
            "runner_environment": "github-hosted",
            "workflow": "preview",
            "job_workflow_ref": f"{self.repository}/.github/workflows/preview.yml@{self.ref}",
        }
        if self.environment:
            claims["environment"] = self.environment
        return {name: value for name, value in {**claims, **self.more}.items() if value is not None}

    def _sub(self, owner: str, name: str) -> str:
        if self.immutable_sub:
            owner, name = f"{owner}@{self.owner_id}", f"{name}@{self.repository_id}"
        if self.environment:
            return f"repo:{owner}/{name}:environment:{self.environment}"
        return f"repo:{owner}/{name}:{'pull_request' if self.event == 'pull_request' else f'ref:{self.ref}'}"


class OidcIssuer:
    """The issuer. `fetches` counts what it was asked for, by path; `broken` has it answer nothing but 503."""

    def __init__(self) -> None:
        self.fetches: Counter[str] = Counter()
        self.broken = False
        self.jobs: dict[str, JobClaims] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.issuer = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.rotate()

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def jwks_fetches(self) -> int:
        """How often the keys were asked for."""
        return self.fetches["/.well-known/jwks"]

    def rotate(self) -> None:
        """Sign with a new key from now on; the old one is published no more."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_id = str(uuid4())

    def jwks(self) -> dict[str, Any]:
        """Return the keys as they are published."""
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": self.key_id, "use": "sig", "alg": "RS256"}]}

    def mint(self, job: JobClaims, audience: str, *, headers: Mapping[str, Any] | None = None, **standard: Any) -> str:
        """Return a token. `standard` replaces claims such as `exp`, `iss` or `jti`; None takes one away."""
        claims = self.claims(job, audience, **standard)
        usual = {"kid": self.key_id, "x5t": "ykNaY4qM_ta4k2TgZOCEYLkcYlA"}  # GitHub's have this thumbprint, too
        return jwt.encode(claims, self.key, algorithm="RS256", headers={**usual, **(headers or {})})

    def claims(self, job: JobClaims, audience: str, **standard: Any) -> dict[str, Any]:
        """Return all claims of a token that would be minted now."""
        now = int(time.time())
        claims = {
            **{"iss": self.url, "aud": audience, "jti": str(uuid4())},
            **{"iat": now, "nbf": now - 300, "exp": now + LIFE_SECONDS},
            **job.as_claims(),
            **standard,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def job_environment(self, job: JobClaims) -> dict[str, str]:
        """Return the variables by which a job with `permissions: id-token: write` asks for its tokens."""
        request_token = secrets.token_urlsafe(24)
        self.jobs[request_token] = job
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{_REQUEST_PATH}?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": request_token,
        }

    def answer(self, target: str, authorization: str) -> tuple[int, dict[str, Any]]:
        """Answer one GET."""
        parts = urlsplit(target)
        self.fetches[parts.path] += 1
        if self.broken:
            return 503, {}
        if parts.path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks"}
        if parts.path == "/.well-known/jwks":
            return 200, self.jwks()
        scheme, _, request_token = authorization.partition(" ")
        job = self.jobs.get(request_token) if scheme.lower() == "bearer" else None
        if parts.path != _REQUEST_PATH or job is None:
            return (401 if parts.path == _REQUEST_PATH else 404), {"message": "not here"}
        owner = job.repository.partition("/")[0]
        audience = parse_qs(parts.query).get("audience", [f"https://github.com/{owner}"])[0]
        return 200, {"count": 1, "value": self.mint(job, audience)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    issuer: OidcIssuer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        status, said = self.server.issuer.answer(self.path, self.headers.get("Authorization", ""))
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
