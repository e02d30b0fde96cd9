"""How a conversation with GitHub ends early, and what GitHub's answers mean.

Sources: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api and
https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import requests
from github import GithubException, RateLimitExceededException

SECONDARY_LIMIT_WAIT = timedelta(seconds=60)
"""How long to keep silent after a secondary limit that names no time, as GitHub asks."""


class GitHubUnavailable(Exception):
    """GitHub does not answer, or asks for silence; the same call may succeed later.

    Whether a call that changes something was carried out is not known. `retry_at` is when GitHub said to come again.
    """

    def __init__(self, what: str, retry_at: datetime | None = None) -> None:
        super().__init__(what)
        self.retry_at = retry_at


class CredentialsRefused(GitHubUnavailable):
    """A token was not taken. It was revoked, or its installation is gone; asking for a new one tells which."""


class InstallationGone(Exception):
    """The App may not act on this repository: its installation is suspended or removed, or lacks the permission."""


class GitHubRefused(Exception):
    """GitHub understood and said no; saying the same again changes nothing."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(f"{status} {what}")
        self.status = status


@contextmanager
def translated(now: datetime | None = None) -> Iterator[None]:
    """Turn what PyGithub raises into the errors above; `NotFound` is told apart with `is_missing` before."""
    try:
        yield
    except GithubException as error:
        raise meaning(error, now or datetime.now(UTC)) from error
    except requests.RequestException as error:
        raise GitHubUnavailable(f"GitHub cannot be reached: {type(error).__name__}") from error


def is_missing(error: GitHubRefused) -> bool:
    """Tell whether what was asked for is not there: 404, or 410 for what was deleted."""
    return error.status in {404, 410}


def meaning(error: GithubException, now: datetime) -> Exception:
    """Return the error that an answer of GitHub's stands for."""
    status, what = error.status, _message(error)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    limited = isinstance(error, RateLimitExceededException) or status == 429
    if limited or (status == 403 and "retry-after" in headers):
        return GitHubUnavailable(f"GitHub's rate limit is reached: {what}", retry_at(headers, now))
    if status == 401:
        return CredentialsRefused(f"GitHub did not take the token: {what}")
    if status >= 500 or status == 0:
        return GitHubUnavailable(f"GitHub answered {status}: {what}")
    if status == 403 and ("suspended" in what.lower() or "not accessible by integration" in what.lower()):
        return InstallationGone(what)
    return GitHubRefused(status, what)


def retry_at(headers: Mapping[str, str], now: datetime) -> datetime:
    """Return when GitHub may be asked again, by the headers (names in lower case) of the answer that set the limit."""
    if headers.get("retry-after", "").isdigit():
        return now + timedelta(seconds=int(headers["retry-after"]))
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        # The reset is named in whole seconds, and may fall anywhere in that second.
        return datetime.fromtimestamp(int(headers["x-ratelimit-reset"]) + 1, UTC)
    return now + SECONDARY_LIMIT_WAIT


def _message(error: GithubException) -> str:
    data = error.data
    return str(data.get("message", "")) if isinstance(data, dict) else str(data or "")
