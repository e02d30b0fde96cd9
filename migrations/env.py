"""Alembic's environment: migrations run on the engine that `service.database` hands over."""

from alembic import context
from sqlalchemy import Connection

from service.models import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        user_module_prefix="service.models.",
    )
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    with context.config.attributes["engine"].connect() as own:
        run(own)
        own.commit()
