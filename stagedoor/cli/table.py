"""Rows as a table: drawn on a terminal; elsewhere a line each with tabs between, for `cut` and `awk`."""

import sys
from collections.abc import Iterable, Sequence

from stagedoor.cli.screen import write


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows to stdout; the names of the columns are for terminals alone."""
    if not sys.stdout.isatty():
        for row in rows:
            write(sys.stdout, "\t".join(row) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)
