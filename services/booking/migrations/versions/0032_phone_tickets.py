"""Tickets on the own phone: one live ticket of a browser at a counter, and nothing of who holds it."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0032", "0031", None, None

PHONE_TICKET = """
CREATE TABLE booking.phone_ticket (
    municipality text NOT NULL, appointment_id uuid NOT NULL, holder_hash bytea NOT NULL, counter text NOT NULL,
    taken_at timestamptz NOT NULL, is_open boolean NOT NULL DEFAULT true, stepped_out_at timestamptz,
    back_at timestamptz,
    CONSTRAINT phone_ticket_pkey PRIMARY KEY (municipality, appointment_id),
    CONSTRAINT phone_ticket_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id),
    CONSTRAINT phone_ticket_stepped_out_whole_check CHECK (
        (stepped_out_at IS NULL) = (back_at IS NULL) AND (back_at IS NULL OR back_at > stepped_out_at)))
"""
ONE_PER_COUNTER = """
CREATE UNIQUE INDEX phone_ticket_one_per_counter_idx ON booking.phone_ticket (municipality, holder_hash, counter)
    WHERE is_open
"""
TAKEN = "CREATE INDEX phone_ticket_municipality_taken_at_idx ON booking.phone_ticket (municipality, taken_at)"
# Somebody steps out once: written once, it stays.
GUARD = """
CREATE FUNCTION booking.guard_phone_ticket() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF OLD.stepped_out_at IS NOT NULL AND (NEW.stepped_out_at, NEW.back_at)
            IS DISTINCT FROM (OLD.stepped_out_at, OLD.back_at) THEN
        RAISE EXCEPTION 'somebody steps out of the line once'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'phone_ticket_guard_once';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_phone_ticket BEFORE UPDATE ON booking.phone_ticket
    FOR EACH ROW EXECUTE FUNCTION booking.guard_phone_ticket()
"""


def upgrade() -> None:
    statements = (PHONE_TICKET, ONE_PER_COUNTER, TAKEN, GUARD, TRIGGER)
    for statement in (*statements, *row_level_security("booking", "phone_ticket")):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE booking.phone_ticket")
    op.execute("DROP FUNCTION booking.guard_phone_ticket()")
