"""When a repository was last searched for what no webhook told"""

import sqlalchemy as sa
from alembic import op

import service.models

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("repositories", sa.Column("searched_at", service.models.UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("repositories") as batch_op:
        batch_op.drop_column("searched_at")
