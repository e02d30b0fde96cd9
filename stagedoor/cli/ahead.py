"""A deploy's synth, begun before it is known for which account: the CDK loads while the AWS SDK loads and is asked."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stagedoor.cli.app_folder import find_app
from stagedoor.cli.cache import cache_dir, work_folder
from stagedoor.errors import UserError
from stagedoor.naming import is_lasting
from stagedoor.synth.sources import as_it_was
from stagedoor.target import Trust

if TYPE_CHECKING:
    from stagedoor.synth.ahead import Ahead


@contextmanager
def begun_ahead(wanted: str | None, stage: str | None, *, cache: bool) -> "Iterator[Ahead | None]":
    """Begin the process of a synth, where the app's program will probably be run, and end it when it is not wanted.

    None where there is nothing to begin; what may be wrong with the app is told by whoever then synthesises.
    """
    with ExitStack() as until_the_end:
        ahead = None
        try:
            app = find_app(Path.cwd(), wanted)
            trusted = cache_dir() / (Trust.PRODUCTION if is_lasting(stage or "") else Trust.PREVIEW).value
            root = app.repository.root
            if not (cache and app.cache and as_it_was(root, trusted / "trees")):
                # Only here: a tree that is as it was needs nothing of this.
                from stagedoor.synth.ahead import Ahead, slot_ahead

                slot = slot_ahead(app.path, root, trusted, app.command)
                ahead = Ahead(slot, until_the_end.enter_context(work_folder())) if slot else None
        except (UserError, OSError):
            pass
        if ahead:
            until_the_end.callback(ahead.close)
        yield ahead
