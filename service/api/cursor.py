"""A place in what a run said: `<run>.<chunk>.<events of it that were read>`, as in a stream's event ids."""

import re
from dataclasses import dataclass, replace

_FORM = re.compile(r"(\d{1,19})\.(\d{1,10})\.(\d{1,10})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Chunks are numbered from 1 (`service.stages.journal`); `index` counts events of the chunk that were read."""

    run: int
    chunk: int = 1
    index: int = 0

    @classmethod
    def of(cls, text: str | None, run: int) -> "Cursor":
        """Return a run's place that `text` names; its beginning where it names none of this run's."""
        found = cls.read(text)
        return found if found is not None and found.run == run else cls(run)

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """Return the place that `text` names; None where it names none."""
        found = _FORM.match(text or "")
        if found is None:
            return None
        run, chunk, index = map(int, found.groups())
        return cls(run, max(1, chunk), index)

    def after_event(self) -> "Cursor":
        """Return the place after the next event."""
        return replace(self, index=self.index + 1)

    def next_chunk(self) -> "Cursor":
        """Return the place at the beginning of the next chunk."""
        return Cursor(self.run, self.chunk + 1)

    def __str__(self) -> str:
        return f"{self.run}.{self.chunk}.{self.index}"
