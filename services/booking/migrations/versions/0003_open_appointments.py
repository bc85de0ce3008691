"""How many appointments one person may have ahead of them, and the index that counts them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE booking.booking_rules ADD COLUMN max_open_appointments integer NOT NULL DEFAULT 5")
    op.execute("ALTER TABLE booking.booking_rules ALTER COLUMN max_open_appointments DROP DEFAULT")
    op.execute("""
        CREATE INDEX appointment_open_of_guest_idx ON booking.appointment (municipality, guest_ref, starts_at)
        WHERE state = 'booked'
    """)


def downgrade() -> None:
    op.execute("DROP INDEX booking.appointment_open_of_guest_idx")
    op.execute("ALTER TABLE booking.booking_rules DROP COLUMN max_open_appointments")
