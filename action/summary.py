"""What became of a stage, as the job's summary: the table of the pull request's comment, in the same words.

The service's own are in `service/github/report.py` and `messages.py`; a test holds the two to each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

from action.refusal import Refused
from action.runner import plain_lines

STATES = {
    "succeeded": "✅ Live",
    "unchanged": "✅ Live",
    "failed": "❌ Failed",
    "errored": "❌ Failed",
    "lost": "❌ Failed",
    "refused": "❌ Failed",
    "timed-out": "🚧 Deploying",
    "superseded": "⏹️ Cancelled",
    "cancelled": "⏹️ Cancelled",
    "removed": "🗑️ Removed",
}
TABLE_HEAD = "| Stage | State | URL | Commit | Took | Run |\n|---|---|---|---|---|---|"
STACKS_HEAD = "| Stack | Action | Resources | Permissions | Why |\n|---|---|---|---|---|"
_STACKS_SHOWN = 100
OUTPUTS_HEAD = "| Output | Value |\n|---|---|"
VALUE_LIMIT = 1_000
_SHORT = 120
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~&@$\"']")


@dataclass(frozen=True)
class Plan:
    """What a deploy would do: the JSON of `stagedoor diff` (docs/cli.md), as far as the summary tells of it; `page` is
    where all of it is shown.
    """

    unchanged: bool
    stacks: tuple[Mapping[str, Any], ...] = ()
    refusals: tuple[Mapping[str, Any], ...] = ()
    page: str = ""

    @classmethod
    def of(cls, said: Any, page: str = "") -> Plan:
        """Read it."""
        plan = said if isinstance(said, dict) else {}
        stacks, refusals = (
            tuple(each for each in plan.get(key) or () if isinstance(each, dict)) for key in ("stacks", "refusals")
        )
        return cls(bool(plan.get("unchanged")), stacks, refusals, page)


@dataclass(frozen=True)
class Result:
    """What became of a stage. `outputs` are by stack and name; `seconds` is how long it took, where that is known."""

    app: str
    stage: str
    status: str
    commit: str
    web_url: str
    run_url: str = ""
    url: str = ""
    outputs: Mapping[str, Mapping[str, str]] | None = None
    seconds: float | None = None
    changed: bool = False
    refused: Refused | None = None
    plan: Plan | None = None


def with_plan(result: Result, said: Any, page: str = "") -> Result:
    """Return the result of a comparison; what CloudFormation would refuse is a failure."""
    plan = Plan.of(said, page)
    refused = Refused.of(plan.refusals[0]) if plan.refusals else None
    status = "failed" if refused else "unchanged" if plan.unchanged else "succeeded"
    return replace(result, status=status, changed=not plan.unchanged, refused=refused, plan=plan)


def shown_outputs(outputs: Mapping[str, Mapping[str, str]], patterns: Sequence[str]) -> list[tuple[str, str]]:
    """Return names and values of the outputs that a pattern shows; a name in two stacks gets its stack's."""
    import fnmatch

    flat = [(stack, name, str(value)) for stack, values in outputs.items() for name, value in values.items()]
    names = [name for _, name, _ in flat]
    return [
        (name if names.count(name) == 1 else f"{stack}.{name}", value)
        for stack, name, value in flat
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def url_of(shown: Sequence[tuple[str, str]]) -> str:
    """Return the stage's address: the first output that is a web address, those called a URL before others."""
    found = sorted((one for one in shown if is_web_address(one[1])), key=lambda output: "url" not in output[0].lower())
    return found[0][1] if found else ""


def markdown(result: Result, patterns: Sequence[str]) -> str:
    """Return the summary."""
    if result.plan is not None:
        return _comparison(result, result.plan)
    cells = [
        code(result.stage),
        STATES.get(result.status, code(result.status)),
        link(_shortened(result.url), result.url) if result.url else "-",
        link(result.commit[:7], f"{result.web_url}/commit/{result.commit}"),
        seconds(result.seconds) if result.seconds is not None else "-",
        link("log", result.run_url) if result.run_url else "-",
    ]
    parts = [f"#### {inline(result.app)}", f"{TABLE_HEAD}\n| {' | '.join(cells)} |"]
    if result.refused is not None:
        parts.append(_words(result.refused))
    shown = shown_outputs(result.outputs or {}, patterns)
    if shown:
        rows = [f"| {code(name)} | {code(_shortened(value, VALUE_LIMIT))} |" for name, value in shown[:50]]
        parts.append("\n".join([OUTPUTS_HEAD, *rows]))
    return "\n\n".join(parts) + "\n"


def _comparison(result: Result, plan: Plan) -> str:
    """Return what a deploy would do to each stack."""
    parts = [f"#### {inline(result.app)}: what a deploy to {code(result.stage)} would change"]
    if result.refused is not None:
        parts.append(_words(result.refused))
    rows = [_stack_row(stack) for stack in plan.stacks[:_STACKS_SHOWN]]
    parts.append("\n".join([STACKS_HEAD, *rows]) if rows and not plan.unchanged else "Nothing would change.")
    if plan.page and not plan.unchanged:
        parts.append(link("All of it, with its values", plan.page))
    return "\n\n".join(parts) + "\n"


def _stack_row(stack: Mapping[str, Any]) -> str:
    changes = [each for each in stack.get("resources") or () if isinstance(each, dict)]
    replaced = sum(each.get("replacement") in ("maybe", "always") for each in changes)
    lost = sum(bool(each.get("loses_data")) for each in changes)
    counts = [str(len(changes)), f"{replaced} replaced" if replaced else "", f"**{lost} lose data**" if lost else ""]
    permissions = len(stack.get("permissions") or ())
    cells = [
        code(str(stack.get("name") or "")),
        code(str(stack.get("action") or "")),
        ", ".join(each for each in counts if each),
        str(permissions or "-"),
        inline(str(stack.get("reason") or "-")),
    ]
    return f"| {' | '.join(cells)} |"


def refusal(refused: Refused) -> str:
    """Return the summary of a step that came to no stage at all."""
    return f"### Stagedoor\n\n{_words(refused)}\n"


def _words(refused: Refused) -> str:
    at = refused.place
    where = f" ({code(f'{at.path}:{at.line}')})" if at else ""
    return f"{inline(refused.what)}{where} {inline(refused.remedy)}"


def inline(text: str) -> str:
    """Return text that means nothing to Markdown and links nothing."""
    text = _entities(" ".join(" ".join(plain_lines(text)).split())).replace("://", ":\u200b//")
    return re.sub(r"(&#64;|&#35;|\bwww(?=\.)|\bGH(?=-\d))", "\\1\u200b", text, flags=re.IGNORECASE)


def code(text: str) -> str:
    """Return text in a code span."""
    return f"<code>{_entities(' '.join(' '.join(plain_lines(text)).split()))}</code>"


def link(label: str, url: str) -> str:
    """Return a link, or only the label as code where `url` is no web address."""
    if not is_web_address(url):
        return code(label)
    safe = quote(" ".join(plain_lines(url)), safe=":/?#@!$&'*+,;=%~-._")
    return f"[{_entities(' '.join(' '.join(plain_lines(label)).split()))}]({safe})"


def is_web_address(url: str) -> bool:
    """Whether `url` is an http or https address with a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"[\s\\<>\"`]", url)


def seconds(duration: float) -> str:
    """Write a duration for people."""
    if duration < 60:
        return f"{duration:.0f} s" if duration >= 10 else f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"


def _entities(text: str) -> str:
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", text)


def _shortened(text: str, limit: int = _SHORT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
