"""The body of every service's ``migrations/env.py``, which is three lines:

from services.routing.tables import metadata
from shared.migrations_env import run_migrations

run_migrations("routing", metadata)
"""

from alembic import context
from sqlalchemy import Connection, MetaData, text

VERSION_TABLE = "alembic_version"

_WORKS_IN = text("""
    SELECT quote_ident(r.rolname) FROM pg_namespace n
    CROSS JOIN LATERAL aclexplode(n.nspacl) AS given JOIN pg_roles r ON r.oid = given.grantee
    WHERE n.nspname = :schema AND given.privilege_type = 'USAGE' AND given.grantee <> n.nspowner
""")


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


def application_role(connection: Connection, schema: str) -> str:
    """The role (quoted) that works in the schema without owning it: who was given its use by the provisioner.

    Raises when there is none or more than one: what is taken away from nobody would stay allowed.
    """
    return str(connection.execute(_WORKS_IN, {"schema": schema}).scalar_one())
