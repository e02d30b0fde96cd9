"""The one comment of a pull request, as Markdown, from data alone.

GitHub refuses a body of more than 65,536 characters ("Body is too long"). It does not say what it counts, so the bytes
of UTF-8 are counted here, which are never fewer than characters or UTF-16 units.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.github import messages
from service.github.escape import code, fence, inline, link, redact
from service.github.messages import StageState

BODY_LIMIT = 65_536
DETAIL_LIMIT = 4_000
DETAIL_LINES = 40
VALUE_LIMIT = 1_000
OUTPUTS_SHOWN = 50
ERRORS_SHOWN = 20
WARNINGS_SHOWN = 10
WARNING_LIMIT = 500
SHORT_COMMIT = 7
_IS_COMMIT = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: the words of a `stagedoor.errors.UserError`, and a place in a file where there is one."""

    id: str
    what: str
    remedy: str
    detail: str = ""
    path: str = ""
    line: int = 1

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Problem":
        """Read what a run's `error`, a source's `note` or one of a note's `errors` holds."""
        place = row.get("location") or row
        texts = {key: redact(str(row.get(key) or "")) for key in ("id", "what", "remedy", "detail")}
        return cls(**texts, path=str(place.get("path") or ""), line=max(1, int(place.get("line") or 1)))


@dataclass(frozen=True, slots=True)
class Warned:
    """What a run warned of, or what it left in AWS: a construct's path or a resource, and what is to be said of it."""

    where: str
    what: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Warned":
        """Read one of a run's `warnings`: a `stagedoor.assembly.model.Finding`, or a `Kept` of a removal."""
        if "physical_id" in row:
            return cls(redact(f"{row['physical_id']} ({row['type']})"), redact(str(row.get("reason") or "")))
        what = f"{row.get('what') or ''} {row.get('remedy') or ''}".strip()
        return cls(redact(str(row.get("construct_path") or row.get("logical_id") or "")), redact(what))


@dataclass(frozen=True, slots=True)
class StageReport:
    """One app's stage. `commit` is the one wanted, `live_commit` the one that answers; `seconds` is what it took.

    `why` is said where something else than the newest commit is wanted, or a fork's; it is escaped already. `waits_for`
    is what the run waits for.
    """

    app: str
    stage: str
    state: StageState
    commit: str = ""
    live_commit: str = ""
    url: str = ""
    outputs: tuple[tuple[str, str], ...] = ()
    seconds: float | None = None
    run_url: str = ""
    problem: Problem | None = None
    warnings: tuple[Warned, ...] = ()
    hotswapped: bool = False
    why: str = ""
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class PullReport:
    """All that a pull request's comment says. `web_url` is the repository's page; `note` is why there is no stage."""

    marker: str
    web_url: str
    stages: tuple[StageReport, ...] = ()
    note: Problem | None = None
    note_errors: tuple[Problem, ...] = ()


def marker(service: str, source_id: int) -> str:
    """Return what the comment of a source is found again by; a browser does not show it."""
    return f"<!-- stagedoor:{service}:{source_id} -->"


def comment_body(report: PullReport, limit: int = BODY_LIMIT) -> str:
    """Return the comment's body: every stage's summary first of all, then as much of the rest as there is room for."""
    head = "\n\n".join([report.marker + "\n" + messages.HEADING, *_note(report)])
    summaries = [_summary(stage, report.web_url) for stage in report.stages]
    kept = _fitting(summaries, limit - _size(head) - 200)
    room = limit - _size(head) - sum(_size(each) + 2 for each in summaries[:kept]) - 200
    parts = [head]
    for stage, summary in zip(report.stages[:kept], summaries, strict=False):
        parts.append(summary)
        for extra in _extras(stage, report.web_url):
            short = messages.shortened(link(messages.RUN_LABEL, stage.run_url))
            chosen = extra if _size(extra) + 2 <= room else short
            if chosen in parts or _size(chosen) + 2 > room:
                continue
            parts.append(chosen)
            room -= _size(chosen) + 2
    if kept < len(summaries):
        parts.append(messages.more_apps(len(summaries) - kept))
    return "\n\n".join(parts) + "\n"


def failure_text(problem: Problem) -> str:
    """Return what went wrong and what to do, then the app's own last words."""
    text = f"{inline(problem.what)} {inline(problem.remedy)}".strip()
    return f"{text}\n\n{fence(tail(problem.detail))}" if problem.detail.strip() else text


def errors_list(errors: Sequence[Problem]) -> Iterator[str]:
    """Yield a list of what is wrong where, if anything is."""
    lines = [
        f"- {code(f'{error.path}:{error.line}')} {inline(error.what)} {inline(error.remedy)}"
        for error in errors[:ERRORS_SHOWN]
    ]
    if lines:
        yield "\n".join(lines)


def commit_link(web_url: str, commit: str) -> str:
    """Return a link to a commit by its short id."""
    if not _IS_COMMIT.fullmatch(commit):  # what was uploaded without one
        return code(commit[:40]) if commit else messages.NOTHING
    return link(commit[:SHORT_COMMIT], f"{web_url}/commit/{commit}")


def tail(text: str, lines: int = DETAIL_LINES, limit: int = DETAIL_LIMIT) -> str:
    """Return the last lines of a text, which is where a traceback says what happened."""
    kept = "\n".join(redact(text).rstrip().splitlines()[-lines:])
    return kept if len(kept) <= limit else "…" + kept[-limit:]


def _note(report: PullReport) -> Iterator[str]:
    if report.note is None:
        return
    yield f"**{inline(report.note.what)}** {inline(report.note.remedy)}"
    yield from errors_list(report.note_errors)


def _summary(stage: StageReport, web_url: str) -> str:
    shown = stage.live_commit or stage.commit if stage.state is StageState.LIVE else stage.commit or stage.live_commit
    cells = [
        code(stage.stage),
        messages.STATE_WORDS[stage.state],
        link(_short(stage.url), stage.url) if stage.url else messages.NOTHING,
        commit_link(web_url, shown),
        messages.seconds(stage.seconds) if stage.seconds is not None else messages.NOTHING,
        link(messages.RUN_LABEL, stage.run_url) if stage.run_url else messages.NOTHING,
    ]
    return f"#### {inline(stage.app)}\n\n{messages.TABLE_HEAD}\n| {' | '.join(cells)} |"


def _extras(stage: StageReport, web_url: str) -> Iterator[str]:
    """Yield what may be left out, the most wanted first."""
    if stage.waits_for:
        yield inline(stage.waits_for)
    if stage.why:
        yield stage.why
    if stage.state in {StageState.FAILED, StageState.REMOVE_FAILED}:
        yield from _failure(stage, web_url)
    if stage.state is StageState.RETRYING and stage.problem:
        yield f"{inline(stage.problem.what)} {inline(stage.problem.remedy)}"
    if stage.state is StageState.REMOVED:
        yield messages.LEFT_IN_AWS if stage.warnings else messages.REMOVED
    if stage.state is StageState.LIVE and stage.hotswapped:
        yield messages.HOTSWAPPED
    if stage.outputs:
        yield _outputs(stage.outputs)
    if stage.warnings:
        yield _warnings(stage.warnings, stage.run_url, left=stage.state is StageState.REMOVED)


def _failure(stage: StageReport, web_url: str) -> Iterator[str]:
    removing = stage.state is StageState.REMOVE_FAILED
    words = [messages.remove_failed() if removing else messages.failed(commit_link(web_url, stage.commit))]
    if stage.problem:
        where = f" ({code(f'{stage.problem.path}:{stage.problem.line}')})" if stage.problem.path else ""
        words.append(f"{inline(stage.problem.what)}{where} {inline(stage.problem.remedy)}")
    if not removing:
        live = commit_link(web_url, stage.live_commit)
        words.append(messages.still_live(live) if stage.live_commit else messages.nothing_live())
    yield " ".join(words)
    if stage.problem and stage.problem.detail.strip():
        # The empty lines make GitHub read Markdown again inside HTML.
        summary = f"<details open><summary>{messages.DETAIL_SUMMARY}</summary>"
        yield f"{summary}\n\n{fence(tail(stage.problem.detail))}\n\n</details>"


def _outputs(outputs: Sequence[tuple[str, str]]) -> str:
    rows = [f"| {code(name)} | {code(_short(redact(value), VALUE_LIMIT))} |" for name, value in outputs[:OUTPUTS_SHOWN]]
    return "\n".join([messages.OUTPUTS_HEAD, *rows])


def _warnings(warnings: Sequence[Warned], run_url: str, *, left: bool) -> str:
    lines = [
        f"- {code(_short(one.where, VALUE_LIMIT))} {inline(_short(one.what, WARNING_LIMIT))}".rstrip()
        for one in warnings[:WARNINGS_SHOWN]
    ]
    if len(warnings) > WARNINGS_SHOWN:
        lines.append(messages.more_warnings(len(warnings) - WARNINGS_SHOWN, link(messages.RUN_LABEL, run_url)))
    text = "\n".join(lines)
    return text if left else f"<details><summary>{messages.warned(len(warnings))}</summary>\n\n{text}\n\n</details>"


def _short(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _fitting(summaries: Sequence[str], room: int) -> int:
    count = 0
    for summary in summaries:
        room -= _size(summary) + 2
        if room < 0:
            break
        count += 1
    return count


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
