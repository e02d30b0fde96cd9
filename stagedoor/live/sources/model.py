"""What is found out about a function's code."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagedoor.config import Config


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function whose code is in the repository.

    `root` is the folder that `handler` is found from. With an `entry` the code is built from that file first, to
    `output`, relative to the folder that then takes the root's place; `asset` is what synth made of it, whose other
    files stay beside the output. `layers` are folders with the content of `/opt`; `elsewhere` counts those layers that
    are not made by the app and so are not on this machine. With `inline` the code is that text of the template. `ours`:
    it is one of our own in Python, in whose bundle `stagedoor.runtime` is.
    """

    construct_path: str
    runtime: str
    handler: str
    root: Path
    layers: tuple[Path, ...] = ()
    elsewhere: int = 0
    entry: Path | None = None
    output: str = ""
    asset: Path | None = None
    inline: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class NoSource:
    """A function that stays deployed, since its code was not found: why, and what to do about it, in one line each."""

    construct_path: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Override:
    """What `stagedoor.toml` says of functions: `[live.functions."Api*"]`, matched on construct path or logical id.

    `source` is a folder, or for code that is built the file to start from, relative to the repository. `handler`
    replaces the one in the template.
    """

    pattern: str
    source: str | None = None
    handler: str | None = None


def overrides_of(config: "Config") -> tuple[Override, ...]:
    """Return what a repository's configuration says of its functions' code."""
    return tuple(Override(pattern, rule.source, rule.handler) for pattern, rule in config.live.functions.items())
