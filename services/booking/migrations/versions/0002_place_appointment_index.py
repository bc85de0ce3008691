"""The index that lets an appointment have one place holds only the places that have an appointment.

As a constraint it also held every free place, under NULL. A new town's tables have no statistics yet, and then the
planner looked for the free places of one slot by reading the free places of all of them.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE UNIQUE INDEX place_one_place_per_appointment_idx ON booking.place (municipality, appointment_id)
        WHERE appointment_id IS NOT NULL
    """)
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_municipality_appointment_id_key")


def downgrade() -> None:
    op.execute("""
        ALTER TABLE booking.place
        ADD CONSTRAINT place_municipality_appointment_id_key UNIQUE (municipality, appointment_id)
    """)
    op.execute("DROP INDEX booking.place_one_place_per_appointment_idx")
