"""Plans that are made without a deploy"""

import sqlalchemy as sa
from alembic import op

from service.models.base import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("id", _ID, nullable=False),
        sa.Column("stage_id", _ID, nullable=False),
        sa.Column("want", sa.String(32), nullable=False),
        sa.Column("commit", sa.String(64), nullable=True),
        sa.Column("assembly_id", _ID, nullable=True),
        sa.Column("unmerged", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("phase", sa.String(32), nullable=False),
        sa.Column("blocked_reason", sa.Text(), nullable=True),
        sa.Column("outcome", sa.String(32), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("blob", sa.String(255), nullable=False),
        sa.Column("holder", sa.String(128), nullable=True),
        sa.Column("lease_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcDateTime(timezone=True), nullable=True),
        sa.Column("rung_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["stage_id"], ["stages.id"], name=op.f("fk_plans_stage_id_stages")),
        sa.ForeignKeyConstraint(["assembly_id"], ["assemblies.id"], name=op.f("fk_plans_assembly_id_assemblies")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plans")),
    )
    op.create_index(op.f("ix_plans_stage_id_id"), "plans", ["stage_id", "id"])
    op.create_index(op.f("ix_plans_outcome"), "plans", ["outcome"])


def downgrade() -> None:
    op.drop_table("plans")
