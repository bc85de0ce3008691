"""Where somebody was in an online form when they asked for help without choosing a time; and finding them by month."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0043", "0042", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE booking.help_request ADD COLUMN from_step text NOT NULL DEFAULT ''")
    for table, at in (("appointment", "booked_at"), ("help_request", "opened_at")):
        op.execute(f"CREATE INDEX {table}_stuck_idx ON booking.{table} (municipality, {at}) WHERE from_step <> ''")


def downgrade() -> None:
    op.execute("DROP INDEX booking.appointment_stuck_idx")
    op.execute("ALTER TABLE booking.help_request DROP COLUMN from_step")
