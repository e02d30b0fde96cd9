"""A place in what a run or a plan said, as in streams' ids: `<its id>.<chunk>.<events that were read of it>`."""

import re
from dataclasses import dataclass, replace

_FORM = re.compile(r"(\d{1,19})\.(\d{1,10})\.(\d{1,10})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in what `about`, a run's or a plan's id, said. Chunks are numbered from 1 (`service.stages.journal`);
    `index` counts events of the chunk that were read.
    """

    about: int
    chunk: int = 1
    index: int = 0

    @classmethod
    def of(cls, text: str | None, about: int) -> "Cursor":
        """Return the place that `text` names; the beginning where it names none in what this one said."""
        found = cls.read(text)
        return found if found is not None and found.about == about else cls(about)

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """Return the place that `text` names; None where it names none."""
        found = _FORM.match(text or "")
        if found is None:
            return None
        about, chunk, index = map(int, found.groups())
        return cls(about, max(1, chunk), index)

    def after_event(self) -> "Cursor":
        """Return the place after the next event."""
        return replace(self, index=self.index + 1)

    def next_chunk(self) -> "Cursor":
        """Return the place at the beginning of the next chunk."""
        return Cursor(self.about, self.chunk + 1)

    def __str__(self) -> str:
        return f"{self.about}.{self.chunk}.{self.index}"
