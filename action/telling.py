"""Mode 3 on GitHub: the pull request's comment and a check run, with the workflow's own token.

The comment is rendered by the service's own code, from the action's checkout, so that it looks the same; only here does
the action import anything but the standard library. One comment an app: jobs of several apps change none of each
other's. It is found again by its marker *and* by who wrote it, since anybody may write a comment with our marker.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from action.http_calls import Answer, Http
from action.refusal import CANCELLATIONS, Place, Refused
from action.runner import Runner
from action.summary import Result, shown_outputs
from action.workflow import Workflow
from service.github.messages import StageState
from service.github.report import Problem, PullReport, StageReport, comment_body, failure_text

_STATES = {
    "started": StageState.DEPLOYING,
    "removing": StageState.REMOVING,
    "succeeded": StageState.LIVE,
    "unchanged": StageState.LIVE,
    "cancelled": StageState.CANCELLED,
    "removed": StageState.REMOVED,
    "remove-failed": StageState.REMOVE_FAILED,
}
_CONCLUSIONS = {"succeeded": "success", "unchanged": "success", "removed": "success", "cancelled": "cancelled"}
_PAGES = 20
_STAGEDOOR = "Stagedoor"


class Telling:
    """What GitHub shows of one stage. What was made is written down in `file`: a later step of the job goes on."""

    def __init__(self, workflow: Workflow, token: str, runner: Runner, file: Path, http: Http | None = None) -> None:
        self._workflow = workflow
        self._token = token
        self._runner = runner
        self._file = file
        self._http = http or Http()

    def begin(self, result: Result) -> None:
        """Say that it begins."""
        with _uninterrupted():  # a check run that nobody wrote down would be in progress for ever
            self._write({"check": self._create_check(result), **_kept(result)})
        self._comment(result)

    def end(self, result: Result, patterns: tuple[str, ...]) -> None:
        """Say how it ended, once."""
        before = self.told()
        if before.get("ended"):
            return
        if before.get("check"):
            self._end_check(int(before["check"]), result)
        self._comment(result, patterns)
        self._write({**before, **_kept(result), "ended": True})

    def told(self) -> dict[str, Any]:
        """Return what was written down."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, told: Mapping[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(told), encoding="utf-8")

    # --- The check run ---

    def _create_check(self, result: Result) -> int | None:
        body = {**self._check(result), "head_sha": result.commit, "status": "in_progress"}
        made = self._call("POST", "/check-runs", body, "checks: write")
        number = made.document.get("id") if made else None
        return number if isinstance(number, int) else None

    def _end_check(self, number: int, result: Result) -> None:
        state = _STATES.get(result.status, StageState.FAILED)
        problem = _problem(result.refused)
        output: dict[str, Any] = {
            "title": state.value.replace("_", " ").capitalize(),
            "summary": failure_text(problem) if problem else f"{result.url or 'The stage has no address.'}",
        }
        if problem and problem.path:
            output["annotations"] = [
                {
                    "path": problem.path,
                    "start_line": problem.line,
                    "end_line": problem.line,
                    "annotation_level": "failure",
                    "title": problem.what[:255],
                    "message": problem.remedy or problem.what,
                }
            ]
        conclusion = _CONCLUSIONS.get(result.status, "failure")
        body = {**self._check(result), "status": "completed", "conclusion": conclusion, "output": output}
        self._call("PATCH", f"/check-runs/{number}", body, "checks: write")

    def _check(self, result: Result) -> dict[str, Any]:
        return {"name": f"{_STAGEDOOR} / {result.app}", "details_url": self._workflow.run_url}

    # --- The comment ---

    def _comment(self, result: Result, patterns: tuple[str, ...] = ("*",)) -> None:
        number = self._workflow.pull_number
        if number is None:
            return
        marker = f"<!-- stagedoor:action:{result.app}:{result.stage} -->"
        body = {"body": comment_body(PullReport(marker, self._workflow.web_url, (_report(result, patterns),)))}
        comments = self._comments(number)
        if comments is None:
            return  # who cannot see what is there would make a second one
        found = self._ours(comments, marker)
        if found is None:
            self._call("POST", f"/issues/{number}/comments", body, "pull-requests: write")
        else:
            self._call("PATCH", f"/issues/comments/{found}", body, "pull-requests: write")

    def _ours(self, comments: Sequence[Mapping[str, Any]], marker: str) -> int | None:
        mine = self._login()
        for comment in comments:
            user = comment.get("user") or {}
            ours = user.get("login") == mine if mine else user.get("type") == "Bot"
            if ours and str(comment.get("body", "")).startswith(marker) and isinstance(comment.get("id"), int):
                return int(comment["id"])
        return None

    def _comments(self, number: int) -> list[Mapping[str, Any]] | None:
        """Return the pull request's comments; None where GitHub does not say."""
        found: list[Mapping[str, Any]] = []
        for page in range(1, _PAGES + 1):
            path = f"/issues/{number}/comments?per_page=100&page={page}"
            answer = self._call("GET", path, None, "pull-requests: write")
            if answer is None:
                return None
            items = answer.document.get("items") or []
            found += [each for each in items if isinstance(each, dict)]
            if len(items) < 100:
                break
        return found

    def _login(self) -> str:
        """Return whose token it is; an App's, which a workflow's own is, is nobody's and gives comments of a bot."""
        try:
            answer = self._http.call("GET", f"{self._workflow.api_url}/user", headers=self._headers(), attempts=3)
        except Refused:
            return ""
        return str(answer.document.get("login") or "") if answer.status == 200 else ""

    # --- Calls ---

    def _call(self, method: str, path: str, body: Any, permission: str) -> Answer | None:
        """Return GitHub's answer. What it refuses stops nothing: the stage is there all the same."""
        url = f"{self._workflow.api_url}/repos/{self._workflow.repository}{path}"
        # A POST that got no answer may have been heard: it is not sent twice.
        try:
            answer = self._http.call(method, url, body, self._headers(), attempts=1 if method == "POST" else 5)
        except Refused as away:
            self._runner.warning(away)
            return None
        if answer.status < 300:
            return answer
        # A limit is told by a 403, too: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api.
        limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
        lacking = answer.status in (401, 403, 404) and not limited
        remedy = f"Give the job `permissions: {permission}`." if lacking else "Run it again."
        what = f"GitHub answered {answer.status} to {method} {path.partition('?')[0]}."
        self._runner.warning(Refused("github-refused", what, remedy))
        return None

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have a cancellation wait for the end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, CANCELLATIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CANCELLATIONS)


def result_told(told: Mapping[str, Any], workflow: Workflow) -> Result:
    """Return the result of a step that was killed: cancelled, as far as anybody knows."""
    gone = Refused(
        "cancelled", "The job ended before the deploy did.", "The next run joins what CloudFormation goes on with."
    )
    app, stage, commit = (str(told.get(key) or "") for key in ("app", "stage", "commit"))
    return Result(app, stage, "cancelled", commit, workflow.web_url, workflow.run_url, refused=gone)


def _kept(result: Result) -> dict[str, Any]:
    return {"app": result.app, "stage": result.stage, "commit": result.commit}


def _report(result: Result, patterns: tuple[str, ...]) -> StageReport:
    state = _STATES.get(result.status, StageState.FAILED)
    live = state is StageState.LIVE
    return StageReport(
        app=result.app,
        stage=result.stage,
        state=state,
        commit=result.commit,
        live_commit=result.commit if live else "",
        url=result.url,
        outputs=tuple(shown_outputs(result.outputs or {}, patterns)),
        seconds=result.seconds,
        run_url=result.run_url,
        problem=_problem(result.refused),
    )


def _problem(refused: Refused | None) -> Problem | None:
    if refused is None:
        return None
    at: Place | None = refused.place
    place = {"path": at.path, "line": at.line} if at else {}
    return Problem.of(
        {"id": refused.id, "what": refused.what, "remedy": refused.remedy, "detail": refused.detail, **place}
    )
