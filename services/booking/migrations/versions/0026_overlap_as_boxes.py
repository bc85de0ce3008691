"""Slots of a counter as boxes that do not meet: its number × its minutes. A row costs half of what ranges cost."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0026", "0025", None, None

# 53 bits: what a float keeps exactly. Boxes that touch meet, too, so that each ends a second before its end.
NUMBER = "(hashtextextended(municipality || '/' || counter, 0) & 9007199254740991)"
FIRST = f"point({NUMBER}, date_part('epoch', starts_at AT TIME ZONE 'UTC'))"
LAST = f"point({NUMBER}, date_part('epoch', ends_at AT TIME ZONE 'UTC') - 1)"
WHOLE_MINUTES = """
    date_part('second', starts_at AT TIME ZONE 'UTC') = 0 AND date_part('second', ends_at AT TIME ZONE 'UTC') = 0
"""
AS_RANGES = """
    hashtextextended(municipality || '/' || counter, 0) WITH =, tstzrange(starts_at, ends_at) WITH &&,
    counter WITH =, municipality WITH =
"""


def upgrade() -> None:
    op.execute("ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl")
    op.execute(f"ALTER TABLE booking.slot ADD CONSTRAINT slot_whole_minutes_check CHECK ({WHOLE_MINUTES})")
    boxes = f"box({FIRST}, {LAST}) WITH &&, municipality WITH ="
    op.execute(f"ALTER TABLE booking.slot ADD CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist ({boxes})")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl")
    op.execute("ALTER TABLE booking.slot DROP CONSTRAINT slot_whole_minutes_check")
    op.execute(f"ALTER TABLE booking.slot ADD CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist ({AS_RANGES})")
