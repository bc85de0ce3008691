"""Closings: nobody is served then. Offered places; and what became of the appointments that a closing covers."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0015", "0014", None, None

TABLES = ("closing", "offered_place")

CLOSINGS = """
CREATE TABLE booking.closing (
    municipality text NOT NULL, closing_id uuid NOT NULL, counter text, during tstzrange NOT NULL, reason text NOT NULL,
    note_ja text, closed_at timestamptz NOT NULL, closed_by text NOT NULL, reopened_at timestamptz, reopened_by text,
    CONSTRAINT closing_pkey PRIMARY KEY (municipality, closing_id),
    CONSTRAINT closing_during_check CHECK (
        NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)),
    CONSTRAINT closing_reason_check CHECK (reason IN ('weather', 'power', 'illness', 'other')),
    CONSTRAINT closing_reopened_check CHECK ((reopened_at IS NULL) = (reopened_by IS NULL)));
CREATE INDEX closing_live_idx ON booking.closing (municipality) WHERE reopened_at IS NULL;
CREATE TABLE booking.offered_place (
    municipality text NOT NULL, offer_id uuid NOT NULL, appointment_id uuid NOT NULL, slot_id uuid NOT NULL,
    place_no integer NOT NULL, offered_at timestamptz NOT NULL, until timestamptz NOT NULL, state text NOT NULL,
    ended_at timestamptz,
    CONSTRAINT offered_place_pkey PRIMARY KEY (municipality, offer_id),
    CONSTRAINT offered_place_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id),
    CONSTRAINT offered_place_state_check CHECK (state IN ('open', 'taken', 'lapsed', 'withdrawn')),
    CONSTRAINT offered_place_ended_check CHECK ((state = 'open') = (ended_at IS NULL)));
CREATE UNIQUE INDEX offered_place_one_open_idx ON booking.offered_place (municipality, appointment_id)
    WHERE state = 'open';
ALTER TABLE booking.appointment ADD COLUMN closure text NOT NULL DEFAULT 'none', ADD COLUMN closing_id uuid;
ALTER TABLE booking.appointment
    ADD CONSTRAINT appointment_closure_check CHECK (closure IN ('none', 'asked', 'staff'));
ALTER TABLE booking.appointment
    ADD CONSTRAINT appointment_closure_whole_check CHECK ((closure = 'none') = (closing_id IS NULL));
CREATE INDEX appointment_closing_idx ON booking.appointment (municipality, closing_id) WHERE closing_id IS NOT NULL;
"""
# Whatever the application does: in a slot that a closing covers nobody takes a place. Who closes locks the places, so
# whoever was just taking one is waited for, and whoever comes after sees the closing.
GUARD = """
CREATE FUNCTION booking.guard_closed_place() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM booking.slot s
               JOIN booking.closing c ON c.municipality = s.municipality AND c.reopened_at IS NULL
                    AND (c.counter IS NULL OR c.counter = s.counter)
                    AND c.during && tstzrange(s.starts_at, s.ends_at)
               WHERE s.municipality = NEW.municipality AND s.slot_id = NEW.slot_id) THEN
        RAISE EXCEPTION 'nobody is served then'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'place_guard_closed';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGERS = (
    # Not what a draw gave: it is drawn from what was announced, and its winners are asked to move like everybody.
    """CREATE TRIGGER guard_closed_place BEFORE UPDATE ON booking.place FOR EACH ROW
    WHEN (NEW.audience <> 'draw' AND ((NEW.hold_id IS NOT NULL AND NEW.hold_id IS DISTINCT FROM OLD.hold_id)
          OR (NEW.appointment_id IS NOT NULL AND NEW.appointment_id IS DISTINCT FROM OLD.appointment_id)))
    EXECUTE FUNCTION booking.guard_closed_place()""",
    """CREATE TRIGGER guard_closed_place_made BEFORE INSERT ON booking.place FOR EACH ROW
    WHEN (NEW.hold_id IS NOT NULL OR NEW.appointment_id IS NOT NULL)
    EXECUTE FUNCTION booking.guard_closed_place()""",
)


def upgrade() -> None:
    for statement in CLOSINGS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)
    for statement in (GUARD, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_closed_place_made ON booking.place")
    op.execute("DROP TRIGGER guard_closed_place ON booking.place")
    op.execute("DROP FUNCTION booking.guard_closed_place()")
    op.execute("DROP INDEX booking.appointment_closing_idx")
    op.execute("ALTER TABLE booking.appointment DROP COLUMN closure, DROP COLUMN closing_id")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
