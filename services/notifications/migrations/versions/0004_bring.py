"""What to bring, what it costs and how long it takes, and where the town hall is: for the mail."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0004", "0003", None, None

COLUMNS = (
    ("catalogue_town", "address_ja text NOT NULL DEFAULT ''"),
    ("catalogue_procedure", "bring text[] NOT NULL DEFAULT '{}'"),
    ("catalogue_procedure", "fee_yen integer NOT NULL DEFAULT 0"),
    ("catalogue_procedure", "minutes integer NOT NULL DEFAULT 0"),
)


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    for table, column in COLUMNS:
        op.execute(f"ALTER TABLE notifications.{table} ADD COLUMN {column}")


def downgrade() -> None:
    for table, column in reversed(COLUMNS):
        op.execute(f"ALTER TABLE notifications.{table} DROP COLUMN {column.split()[0]}")
