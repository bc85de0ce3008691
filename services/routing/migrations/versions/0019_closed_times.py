"""Whether a closing covers an appointment's time, and when a procedure with a window of its own is free first."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0019", "0018", None, None


def upgrade() -> None:
    # A constant default: no rewrite of the table, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.appointment ADD COLUMN closure text NOT NULL DEFAULT 'none'")
    op.execute("ALTER TABLE routing.availability ADD COLUMN own jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.availability DROP COLUMN own")
    op.execute("ALTER TABLE routing.appointment DROP COLUMN closure")
