"""`stagedoor types`: tell type checkers and editors what the app's code can be bound to."""

from pathlib import Path

import click

from stagedoor.assembly.resources import bindable_resources
from stagedoor.cli.cache import work_folder
from stagedoor.cli.options import EXIT_CODES, Options, with_options
from stagedoor.cli.program import synthesized_without_account
from stagedoor.cli.resource_types import PACKAGE, TYPESCRIPT
from stagedoor.cli.screen import Ending
from stagedoor.cli.type_files import text_of, type_files
from stagedoor.cli.work import at_work
from stagedoor.errors import UserError


class TypesOutOfDate(UserError):
    """What `stagedoor types` would write differs from what is there."""

    id = "types-out-of-date"


@click.command(epilog=EXIT_CODES)
@click.option("--stage", metavar="NAME", default="dev", show_default=True, help="The stage that the program is told.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 where something would be written.")
@click.option("--typescript", is_flag=True, help=f"Write {TYPESCRIPT}, too. [default: if package.json has {PACKAGE}]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Where the files go. [default: beside cdk.json]",
)
@with_options
def types(stage: str, check: bool, typescript: bool, out: Path | None, options: Options) -> None:
    """Write down what the app's code can be bound to, for type checkers and editors.

    Runs the app's program, without AWS credentials, and writes stagedoor_resources.pyi beside cdk.json; then
    `Table.Notes.table_name` of stagedoor.runtime is completed, and a wrong name is a type error. `deploy` and `dev`
    do the same on their way.

    \b
    Example:
      stagedoor types
      stagedoor types --check        # in CI
    """
    with at_work(options) as work:
        with work.screen, work.interruption.anywhere(), work_folder() as folder:
            app = work.app()
            assembly = synthesized_without_account(work, app, stage, folder)
        files = type_files(app, assembly, out or app.path, typescript=typescript)
        old = [file for file, text in files.items() if text_of(file) != text]
        if check and old:
            names = ", ".join(file.name for file in old)
            raise TypesOutOfDate(f"{names} is not what the app's program says now.", "Run `stagedoor types`.")
        for file in old:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(files[file], encoding="utf-8")
        count = len(bindable_resources(assembly))
        said = f"{', '.join(file.name for file in files)} {'written' if old else 'as before'}: {count} resources."
        work.screen.end(
            Ending(said, data={"files": [str(file) for file in files], "changed": bool(old), "resources": count})
        )
