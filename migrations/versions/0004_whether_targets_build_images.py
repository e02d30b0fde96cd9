"""Whether a target's workers build the container images of apps"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BUILDS = sa.Enum("refused", "confined", "trusted", name="imagebuilds", native_enum=False, length=32)


def upgrade() -> None:
    op.add_column("targets", sa.Column("image_builds", _BUILDS, nullable=False, server_default="refused"))


def downgrade() -> None:
    with op.batch_alter_table("targets") as batch_op:
        batch_op.drop_column("image_builds")
