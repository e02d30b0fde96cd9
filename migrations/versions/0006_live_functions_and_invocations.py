"""Live: the functions of a stage, and what is recorded of an invocation"""

import sqlalchemy as sa
from alembic import op

import service.models.base

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _of_invocations() -> list[sa.Column]:
    return [
        sa.Column("attempt", sa.String(128), nullable=False, server_default=""),
        sa.Column("developer", sa.String(255), nullable=False, server_default=""),
        sa.Column("error_type", sa.String(255), nullable=False, server_default=""),
        sa.Column("event", sa.LargeBinary(), nullable=True),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("replay_of", sa.BigInteger(), nullable=True),
    ]


def upgrade() -> None:
    op.create_table(
        "live_functions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stage_id", _ID, nullable=False),
        sa.Column("name", sa.String(140), nullable=False),
        sa.Column("arn", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("timeout_s", sa.Integer(), nullable=False),
        sa.Column("runtime", sa.String(32), nullable=False),
        sa.Column("handler", sa.Text(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("registered_at", service.models.base.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["stage_id"], ["stages.id"], name="fk_live_functions_stage_id_stages"),
        sa.PrimaryKeyConstraint("id", name="pk_live_functions"),
        sa.UniqueConstraint("stage_id", "name", name="uq_live_functions_stage_id_name"),
    )
    op.create_index("ix_sessions_stage_id_closed_at", "sessions", ["stage_id", "closed_at"])
    op.create_index("ix_invocations_received_at", "invocations", ["received_at"])
    for column in _of_invocations():
        op.add_column("invocations", column)
    op.add_column("stages", sa.Column("keeps_payloads", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("stages") as batch_op:
        batch_op.drop_column("keeps_payloads")
    op.drop_index("ix_invocations_received_at", "invocations")
    with op.batch_alter_table("invocations") as batch_op:
        for column in _of_invocations():
            batch_op.drop_column(column.name)
    op.drop_index("ix_sessions_stage_id_closed_at", "sessions")
    op.drop_table("live_functions")
