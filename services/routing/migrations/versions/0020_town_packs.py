"""Which office keeps the residents' register, and the town packs as they were loaded."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0020", "0019", None, None

PACK_VERSION = """CREATE TABLE routing.pack_version (
    municipality text NOT NULL, version integer NOT NULL, files jsonb NOT NULL, loaded_at timestamptz NOT NULL,
    CONSTRAINT pack_version_pkey PRIMARY KEY (municipality, version))"""


def upgrade() -> None:
    op.execute("ALTER TABLE routing.catalogue ADD COLUMN registrar text NOT NULL DEFAULT ''")
    # Until now it was the office of this procedure, in whatever town. Until the pack is loaded again, it stays so.
    op.execute("""UPDATE routing.catalogue c SET registrar = p.office FROM routing.procedure p
        WHERE p.municipality = c.municipality AND p.code = 'RES02'""")
    for statement in (PACK_VERSION, *row_level_security("routing", "pack_version")):
        op.execute(statement)
    # What was loaded once is never told differently.
    op.execute(f"REVOKE UPDATE, DELETE ON routing.pack_version FROM {application_role(op.get_bind(), 'routing')}")


def downgrade() -> None:
    op.execute("DROP TABLE routing.pack_version")
    op.execute("ALTER TABLE routing.catalogue DROP COLUMN registrar")
