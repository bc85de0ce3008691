"""What a town says itself in its notices, for readers of a language."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0018", "0017", None, None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE notifications.catalogue_template (
            municipality text NOT NULL,
            kind text NOT NULL,
            language text NOT NULL,
            subject text NOT NULL,
            long text NOT NULL,
            short text NOT NULL,
            PRIMARY KEY (municipality, kind, language)
        )""")
    for statement in row_level_security("notifications", "catalogue_template"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE notifications.catalogue_template")
