"""That slots of a counter do not overlap is found out by a number of the counter first: half the cost of a row."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0024", "0023", None, None

NO_OVERLAP = """
    ALTER TABLE booking.slot ADD CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist
    ({}tstzrange(starts_at, ends_at) WITH &&, counter WITH ={})
"""


def upgrade() -> None:
    op.execute("ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl")
    number = "hashtextextended(municipality || '/' || counter, 0) WITH =, "
    op.execute(NO_OVERLAP.format(number, ", municipality WITH ="))


def downgrade() -> None:
    op.execute("ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl")
    op.execute(NO_OVERLAP.format("municipality WITH =, ", ""))
