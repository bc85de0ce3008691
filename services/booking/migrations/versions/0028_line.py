"""The line remembers its steps, so that each can be taken back; who is parked or preferred; a ticket's own roll."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0028", "0027", None, None

LINE_STEP = """
CREATE TABLE booking.line_step (
    municipality text NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL, action text NOT NULL,
    day date NOT NULL, counter text NOT NULL, office text NOT NULL, from_state text NOT NULL, to_state text NOT NULL,
    at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, actor_ref text NOT NULL, before jsonb NOT NULL,
    undo_before integer, is_undone boolean NOT NULL DEFAULT false,
    CONSTRAINT line_step_pkey PRIMARY KEY (municipality, appointment_id, version))
"""
INDEX = "CREATE INDEX line_step_municipality_day_counter_idx ON booking.line_step (municipality, day, counter)"
# A step is written once: all that ever changes is that it was taken back.
GUARD = """
CREATE FUNCTION booking.guard_line_step() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF (to_jsonb(NEW) - 'is_undone') IS DISTINCT FROM (to_jsonb(OLD) - 'is_undone') OR OLD.is_undone THEN
        RAISE EXCEPTION 'a step of the line stays as it was written'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'line_step_guard';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_line_step BEFORE UPDATE ON booking.line_step
    FOR EACH ROW EXECUTE FUNCTION booking.guard_line_step()
"""
# One number in the hand for everything that one arrival has to do; nobody else's that day.
ONE_TICKET = """
ALTER TABLE booking.appointment ADD CONSTRAINT appointment_one_ticket_excl EXCLUDE USING gist (
    municipality WITH =, ticket_counter WITH =, day WITH =, ticket_no WITH =,
    coalesce(chain_id, appointment_id) WITH <>) WHERE (ticket_no IS NOT NULL)
"""


def upgrade() -> None:
    for statement in (LINE_STEP, INDEX, GUARD, TRIGGER, *row_level_security("booking", "line_step")):
        op.execute(statement)
    op.execute("""
        ALTER TABLE booking.appointment
            ADD COLUMN ticket_counter text,
            ADD COLUMN queued_at timestamptz,
            ADD COLUMN parked_at timestamptz,
            ADD COLUMN is_preferred boolean NOT NULL DEFAULT false,
            ADD COLUMN undo_version integer
    """)
    op.execute("UPDATE booking.appointment SET ticket_counter = counter WHERE ticket_no IS NOT NULL")
    op.execute("UPDATE booking.appointment SET queued_at = checked_in_at WHERE checked_in_at IS NOT NULL")
    op.execute("""
        ALTER TABLE booking.appointment
            ADD CONSTRAINT appointment_ticket_whole_check CHECK ((ticket_no IS NULL) = (ticket_counter IS NULL)),
            ADD CONSTRAINT appointment_parked_check CHECK (parked_at IS NULL OR state = 'checked_in')
    """)
    op.execute("DROP INDEX booking.appointment_ticket_idx")
    op.execute(ONE_TICKET)
    op.execute("ALTER TABLE booking.booking_rules ADD COLUMN queue jsonb NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.booking_rules DROP COLUMN queue")
    op.execute("ALTER TABLE booking.appointment DROP CONSTRAINT appointment_one_ticket_excl")
    # The version before knows a ticket by the counter where somebody is: what came from elsewhere has no number there.
    op.execute("UPDATE booking.appointment SET ticket_no = NULL, ticket_counter = NULL WHERE ticket_counter <> counter")
    op.execute("""
        UPDATE booking.appointment a SET ticket_no = NULL, ticket_counter = NULL
        WHERE EXISTS (SELECT FROM booking.appointment o
                      WHERE (o.municipality, o.counter, o.day, o.ticket_no)
                            = (a.municipality, a.counter, a.day, a.ticket_no) AND o.appointment_id < a.appointment_id)
    """)
    op.execute("""
        CREATE UNIQUE INDEX appointment_ticket_idx ON booking.appointment (municipality, counter, day, ticket_no)
        WHERE ticket_no IS NOT NULL
    """)
    op.execute("""
        ALTER TABLE booking.appointment DROP COLUMN ticket_counter, DROP COLUMN queued_at, DROP COLUMN parked_at,
            DROP COLUMN is_preferred, DROP COLUMN undo_version
    """)
    op.execute("DROP TABLE booking.line_step")
    op.execute("DROP FUNCTION booking.guard_line_step()")
