"""What people bring and until when, as the town says it: codes beside the procedures, words beside the catalogue."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0007", "0006", None, None

COLUMNS = (
    ("catalogue", "things jsonb NOT NULL DEFAULT '[]'"),
    ("catalogue", "deadlines jsonb NOT NULL DEFAULT '[]'"),
    ("procedure", "bring text[] NOT NULL DEFAULT '{}'"),
    ("procedure", "bring_online text[] NOT NULL DEFAULT '{}'"),
    ("procedure", "deadline text NOT NULL DEFAULT ''"),
)


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    for table, column in COLUMNS:
        op.execute(f"ALTER TABLE routing.{table} ADD COLUMN {column}")


def downgrade() -> None:
    for table, column in reversed(COLUMNS):
        op.execute(f"ALTER TABLE routing.{table} DROP COLUMN {column.split()[0]}")
