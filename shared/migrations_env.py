"""The body of every service's ``migrations/env.py``, which is three lines:

from services.routing.tables import metadata
from shared.migrations_env import run_migrations

run_migrations("routing", metadata)
"""

from alembic import context
from sqlalchemy import Connection, MetaData

VERSION_TABLE = "alembic_version"


def run_migrations(service: str, metadata: MetaData) -> None:
    """Run the requested migrations on the connection that ``shared.migrations`` has opened (its transaction, too)."""
    connection = context.config.attributes.get("connection")
    if not isinstance(connection, Connection):
        raise TypeError("migrations run through shared.migrations, not through the alembic command")

    def is_own(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "schema" or name == service

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        version_table_schema=service,
        include_schemas=True,
        include_name=is_own,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
