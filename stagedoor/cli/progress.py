"""What is known of work that goes on, folded from its events; what is drawn of it is decided in `picture.py`.

Times are the seconds of a clock that whoever calls gives: CloudFormation's own clock may differ from this machine's.
"""

from dataclasses import dataclass, field

from stagedoor.events import Event, EventKind

FAILED = "failed"
WAITING = "waiting"
ROLLED_BACK = "rolled back"
ROLLBACK_FAILED = "rollback failed"
_WORDS = {
    "CREATE_IN_PROGRESS": "creating",
    "CREATE_COMPLETE": "created",
    "UPDATE_IN_PROGRESS": "updating",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "cleaning up",
    "UPDATE_COMPLETE": "updated",
    "DELETE_IN_PROGRESS": "deleting",
    "DELETE_COMPLETE": "deleted",
    "DELETE_SKIPPED": "kept",
    "HOTSWAP_IN_PROGRESS": "hotswapping",
    "HOTSWAP_COMPLETE": "hotswapped",
    "HOTSWAP_BACK_IN_PROGRESS": "putting back",
    "HOTSWAP_BACK_COMPLETE": "put back",
    "REVIEW_IN_PROGRESS": "preparing",
}


@dataclass(slots=True)
class Item:
    """Something that begins and ends: a phase, a stack, a resource. `seconds` is None while it goes on."""

    name: str
    words: str = ""
    detail: str = ""
    began: float = 0.0
    seconds: float | None = None
    failed: bool = False
    waiting: bool = False

    def elapsed(self, now: float) -> float:
        """Return how long it has taken, or took."""
        return now - self.began if self.seconds is None else self.seconds


@dataclass(slots=True)
class StackItem(Item):
    """A stack and its resources by logical id."""

    resources: dict[str, Item] = field(default_factory=dict)


@dataclass(slots=True)
class Progress:
    """The phases in the order in which they began, the stacks, what was said last, and the warnings."""

    phases: dict[str, Item] = field(default_factory=dict)
    stacks: dict[str, StackItem] = field(default_factory=dict)
    warnings: list[Event] = field(default_factory=list)
    last_line: str = ""
    last_line_at: float = 0.0

    def take(self, event: Event, now: float) -> None:
        """Fold one event in."""
        match event.kind:
            case EventKind.PHASE:
                self._phase(event, now)
            case EventKind.STACK:
                stack = self._stack(event.subject, now)
                _move(stack, event, now)
            case EventKind.RESOURCE:
                self._resource(event, now)
            case EventKind.ASSET:
                phase = self.phases.setdefault("publish", Item("publish", began=now))
                phase.detail = f"{event.subject}: {(event.status == 'uploading' and event.message) or event.status}"
            case EventKind.WARNING:
                self.warnings.append(event)
            case EventKind.LOG:
                self.last_line, self.last_line_at = event.message, now

    def _phase(self, event: Event, now: float) -> None:
        if event.status == "started":
            self.phases[event.subject] = Item(event.subject, began=now)
            self.last_line = ""
            return
        phase = self.phases.setdefault(event.subject, Item(event.subject, began=now))
        phase.seconds = now - phase.began if event.seconds is None else event.seconds
        phase.failed = event.status == "failed"

    def _stack(self, name: str, now: float) -> StackItem:
        return self.stacks.setdefault(name, StackItem(name, began=now))

    def _resource(self, event: Event, now: float) -> None:
        stack_name, _, logical_id = event.subject.partition("/")
        stack = self._stack(stack_name, now)
        name = str(event.data.get("construct_path") or logical_id).removesuffix("/Resource")
        known = stack.resources.get(logical_id)
        if known is None or (known.seconds is not None and event.status.endswith("_IN_PROGRESS")):
            known = stack.resources[logical_id] = Item(name, began=now)
        known.detail = str(event.data.get("type", ""))
        _move(known, event, now)


def words_for(status: str) -> str:
    """Return a status of CloudFormation's in plain words.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
    """
    if status in _WORDS:
        return _WORDS[status]
    if "ROLLBACK" in status:
        words = {"IN_PROGRESS": "rolling back", "COMPLETE": ROLLED_BACK, "FAILED": ROLLBACK_FAILED}
        return next((words[end] for end in words if status.endswith(end)), "rolling back")
    if status.endswith("_FAILED"):
        return FAILED
    return status.lower().replace("_", " ")


def _move(item: Item, event: Event, now: float) -> None:
    item.words = words_for(event.status)
    if event.status == WAITING:
        item.words, item.waiting = f"waiting {event.message}", True
        return
    if item.waiting:
        item.waiting, item.began = False, now
    if event.status.endswith("_IN_PROGRESS"):
        if item.seconds is not None:
            item.began = now
        item.seconds = None
        return
    item.seconds = now - item.began if event.seconds is None else event.seconds
    item.failed = item.words in (FAILED, ROLLED_BACK, ROLLBACK_FAILED)
