"""Availability at a glance: own notice and horizon of a procedure, the next lapse by an index, who has left a page."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0017", "0016", None, None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE booking.procedure
            ADD COLUMN notice_min integer CONSTRAINT procedure_notice_min_check CHECK (notice_min >= 0),
            ADD COLUMN horizon_days integer CONSTRAINT procedure_horizon_days_check CHECK (horizon_days >= 1)
    """)
    op.execute("ALTER TABLE booking.visit ADD COLUMN shown_at timestamptz")
    # Nobody can look for free places by it: they are those without a hold.
    op.execute("""
        CREATE INDEX place_next_lapse_idx ON booking.place (municipality, held_until) WHERE held_until IS NOT NULL
    """)


def downgrade() -> None:
    op.execute("DROP INDEX booking.place_next_lapse_idx")
    op.execute("ALTER TABLE booking.visit DROP COLUMN shown_at")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN notice_min, DROP COLUMN horizon_days")
