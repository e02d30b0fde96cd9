"""Assemblies are kept and deployed from; runs wait for workflows; forks are let in by a maintainer's word"""

import sqlalchemy as sa
from alembic import op

import service.models.base

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COLUMNS = (
    ("runs", sa.Column("cancelled_by", sa.String(255), nullable=False, server_default="")),
    ("runs", sa.Column("log_kept", sa.Boolean(), nullable=False, server_default=sa.true())),
    ("assemblies", sa.Column("stage", sa.String(40), nullable=False, server_default="")),
    ("stages", sa.Column("wished_digest", sa.String(64), nullable=True)),
    ("sources", sa.Column("workflow_generation", sa.BigInteger(), nullable=False, server_default="0")),
)


def upgrade() -> None:
    for table, column in _COLUMNS:
        op.add_column(table, column)
    if op.get_bind().dialect.name == "sqlite":
        # Made with its column, as SQLite alters no constraints; to copy the table would need its children gone.
        op.execute("ALTER TABLE runs ADD COLUMN assembly_id INTEGER REFERENCES assemblies (id)")
    else:
        op.add_column("runs", sa.Column("assembly_id", _ID, nullable=True))
        op.create_foreign_key("fk_runs_assembly_id_assemblies", "runs", "assemblies", ["assembly_id"], ["id"])
    op.create_index("ix_runs_assembly_id", "runs", ["assembly_id"])
    op.create_table(
        "approvals",
        sa.Column("id", _ID, nullable=False),
        sa.Column("source_id", _ID, nullable=False),
        sa.Column("comment_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.String(255), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("sha", sa.String(64), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(255), nullable=False),
        sa.Column("created_at", service.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.Column("decided_at", service.models.base.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_approvals_source_id_sources"),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.UniqueConstraint("source_id", "comment_id", name="uq_approvals_source_id_comment_id"),
    )


def downgrade() -> None:
    op.drop_table("approvals")
    op.drop_index("ix_runs_assembly_id", "runs")
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_column("assembly_id")
    for table, column in reversed(_COLUMNS):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column(column.name)
