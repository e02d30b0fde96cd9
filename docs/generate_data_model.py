"""Draws the tables of `service/models/` as an entity-relationship diagram: `python -m docs.generate_data_model`."""

from pathlib import Path

from sqlalchemy import Column, Table

from service.models import Base

PAGE = Path(__file__).parent / "data-model.md"
INTRODUCTION = """# Data model

Generated from `service/models/` by `make docs`; a test fails when it is out of date. What a table is for stands in
its class's docstring there. SQL is the truth: what is not in here did not happen.

"""


def data_model_page() -> str:
    """Return the page: a Mermaid diagram of every table, its columns and its references."""
    lines = ["```mermaid", "erDiagram"]
    for table in Base.metadata.sorted_tables:
        lines.append(f"    {table.name} {{")
        lines += [f"        {_type(column)} {column.name}{_marks(column, table)}" for column in table.columns]
        lines.append("    }")
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            for key in column.foreign_keys:
                many = "o{" if not column.unique else "o|"
                one = "|o" if column.nullable else "||"
                lines.append(f"    {key.column.table.name} {one}--{many} {table.name} : {column.name}")
    lines.append("```")
    return INTRODUCTION + "\n".join(lines) + "\n"


def _type(column: Column[object]) -> str:
    return type(column.type).__name__.lower()


def _marks(column: Column[object], table: Table) -> str:
    marks = ["PK"] if column.primary_key else []
    marks += ["FK"] if column.foreign_keys else []
    alone_unique = any([c.name for c in index.columns] == [column.name] for index in table.indexes if index.unique)
    marks += ["UK"] if column.unique or alone_unique else []
    return f" {', '.join(marks)}" if marks else ""


if __name__ == "__main__":
    PAGE.write_text(data_model_page())
