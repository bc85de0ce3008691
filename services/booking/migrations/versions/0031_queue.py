"""The wait that was told, whose turn was told to be near, and nobody called to two counters at once."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0031", "0030", None, None

# Whatever the application does: each person of an arrival is called to, or served at, one counter at a time.
CALLED_ONCE = """
CREATE UNIQUE INDEX appointment_called_once_idx ON booking.appointment (municipality, chain_id, chain_person, day)
    WHERE chain_id IS NOT NULL AND state IN ('called', 'serving')
"""
# Who was at two counters when this came in is put back into the line of the later one.
ONE_OF_TWO = """
UPDATE booking.appointment a SET state = 'checked_in', called_at = NULL, serving_at = NULL, version = version + 1
WHERE a.chain_id IS NOT NULL AND a.state IN ('called', 'serving')
  AND EXISTS (SELECT FROM booking.appointment o
              WHERE (o.municipality, o.chain_id, o.chain_person, o.day)
                    = (a.municipality, a.chain_id, a.chain_person, a.day)
                AND o.state IN ('called', 'serving')
                AND (o.starts_at, o.appointment_id) < (a.starts_at, a.appointment_id))
"""


def upgrade() -> None:
    op.execute("ALTER TABLE booking.appointment ADD COLUMN near_turn_at timestamptz")
    op.execute("ALTER TABLE booking.line_step ADD COLUMN told_min integer")
    op.execute(ONE_OF_TWO)
    op.execute(CALLED_ONCE)


def downgrade() -> None:
    op.execute("DROP INDEX booking.appointment_called_once_idx")
    op.execute("ALTER TABLE booking.line_step DROP COLUMN told_min")
    op.execute("ALTER TABLE booking.appointment DROP COLUMN near_turn_at")
