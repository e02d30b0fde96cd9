"""What apps looked up in their targets, and what a target's templates may hold"""

import sqlalchemy as sa
from alembic import op

import service.models

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "context_values",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("target_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("app_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("read_at", service.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_context_values_app_id_apps")),
        sa.ForeignKeyConstraint(["target_id"], ["targets.id"], name=op.f("fk_context_values_target_id_targets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_context_values")),
        sa.UniqueConstraint("target_id", "app_id", "digest", name=op.f("uq_context_values_target_id_app_id_digest")),
    )
    op.add_column("targets", sa.Column("denied_types", sa.JSON(), nullable=True))
    op.add_column("targets", sa.Column("allowed_transforms", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("targets") as batch_op:
        batch_op.drop_column("allowed_transforms")
        batch_op.drop_column("denied_types")
    op.drop_table("context_values")
