"""Where in its app's templates a live function is, by which a developer's machine finds its code"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("live_functions", sa.Column("place", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("live_functions") as batch_op:
        batch_op.drop_column("place")
