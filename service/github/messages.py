"""Every word that a person reads on GitHub, in one place.

Arguments that others wrote are escaped by the caller (`service.github.escape`).
"""

from enum import StrEnum

HEADING = "### Stagedoor"
NAME = "Stagedoor"


class StageState(StrEnum):
    """How a stage is, as its author sees it."""

    QUEUED = "queued"
    WAITING = "waiting"
    DEPLOYING = "deploying"
    LIVE = "live"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"
    REMOVING = "removing"
    REMOVE_FAILED = "remove_failed"
    REMOVED = "removed"


STATE_WORDS = {
    StageState.QUEUED: "⏳ Queued",
    StageState.WAITING: "⏸️ Waiting",
    StageState.DEPLOYING: "🚧 Deploying",
    StageState.LIVE: "✅ Live",
    StageState.FAILED: "❌ Failed",
    StageState.RETRYING: "🔁 Trying again",
    StageState.CANCELLED: "⏹️ Cancelled",
    StageState.REMOVING: "🧹 Being removed",
    StageState.REMOVE_FAILED: "❌ Could not be removed",
    StageState.REMOVED: "🗑️ Removed",
}

CHECK_TITLES = {
    StageState.QUEUED: "Waiting for its turn",
    StageState.WAITING: "Waiting for a workflow",
    StageState.DEPLOYING: "Deploying",
    StageState.LIVE: "Live",
    StageState.FAILED: "Failed",
    StageState.RETRYING: "An error that is not the app's; trying again",
    StageState.CANCELLED: "Cancelled",
    StageState.REMOVING: "No longer wanted",
    StageState.REMOVE_FAILED: "No longer wanted",
    StageState.REMOVED: "No longer wanted",
}

HELD_CHECK_TITLE = "Another version is wanted"
OUTDATED_CHECK_TITLE = "A newer commit took its place"
NO_PREVIEW_CHECK_TITLE = "No preview"
NOTE_GONE_CHECK_TITLE = "No longer so"

TABLE_HEAD = "| Stage | State | URL | Commit | Took | Run |\n|---|---|---|---|---|---|"
OUTPUTS_HEAD = "| Output | Value |\n|---|---|"
NOTHING = "-"
RUN_LABEL = "log"
DETAIL_SUMMARY = "The last lines"
REMOVED = "Nothing of this stage is left in AWS."
LEFT_IN_AWS = "The stage is removed. This is left of it in AWS:"
HOTSWAPPED = "⚡ Code swapped in place, without CloudFormation; the next full deploy makes CloudFormation agree."


def failed(commit: str) -> str:
    """Say that a commit could not be deployed."""
    return f"**{commit} could not be deployed.**"


def remove_failed() -> str:
    """Say that a stage could not be removed."""
    return "**The stage could not be removed.**"


def still_live(commit: str) -> str:
    """Say which commit a stage still answers with."""
    return f"The stage is still live on its last good commit, {commit}."


def nothing_live() -> str:
    """Say that no commit of this pull request was ever live."""
    return "Nothing of it is live."


def warned(count: int) -> str:
    """Say how many warnings there are."""
    return f"⚠️ {count} warning{'s' if count > 1 else ''}"


def more_warnings(count: int, link: str) -> str:
    """Say where the rest of the warnings is."""
    return f"- _and {count} more, in the {link}_"


def shortened(link: str) -> str:
    """Say where the rest is."""
    return f"_This was too long for a comment; the rest is in the {link}._"


def more_apps(count: int) -> str:
    """Say how many apps did not fit."""
    return f"_And {count} more apps, too many for one comment._"


def superseded() -> str:
    """Say why a check run of an older commit ended."""
    return "Another commit, or the stage's removal, was wanted before this one was deployed."


def live_on(stage: str, commit: str) -> str:
    """Say what is live where."""
    return f"The stage {stage} is live on {commit}."


_ASKED_FOR = {"rolled-back": "Rolled back to an earlier run", "promoted": "Promoted from another stage"}


def held(cause: str, actor: str) -> str:
    """Say why something else than the newest commit is wanted of a stage, and for how long."""
    return f"{_ASKED_FOR.get(cause, 'Asked for')} by {actor}; it stays so until the next push."


def removed_on_request(actor: str) -> str:
    """Say why a stage is gone although its pull request is open."""
    return f"Removed on request of {actor}; it stays so until the next push."


def approved(actor: str, commit: str) -> str:
    """Say who spoke for a fork's commit."""
    return f"{actor} approved the fork's commit {commit} by a comment."


def note_gone() -> str:
    """Say that the reason for which there was no preview is gone."""
    return "What kept this commit from having a preview is no longer so."


def seconds(duration: float) -> str:
    """Write a duration for people."""
    if duration < 60:
        return f"{duration:.0f} s" if duration >= 10 else f"{duration:.1f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"
