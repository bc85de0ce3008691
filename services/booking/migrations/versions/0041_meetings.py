"""Who comes is told with the appointment; that its person agreed to go through it together; and notes to the next."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0041", "0040", None, None

# Whoever accepted, and nobody else, whichever way it came about: what is told of an appointment says who comes.
NAME_HELPER = """
CREATE FUNCTION booking.name_helper() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.helper_ref := CASE WHEN NEW.helper = 'accepted' THEN (
        SELECT s.helper_ref FROM booking.assignment s
        WHERE s.municipality = NEW.municipality AND s.appointment_id = NEW.appointment_id AND s.state = 'accepted') END;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER name_helper BEFORE UPDATE OF helper ON booking.appointment
    FOR EACH ROW EXECUTE FUNCTION booking.name_helper()
"""
KNOWN = """
UPDATE booking.appointment a SET helper_ref = s.helper_ref
FROM booking.assignment s
WHERE (s.municipality, s.appointment_id) = (a.municipality, a.appointment_id)
  AND s.state = 'accepted' AND a.helper = 'accepted'
"""
AGREED = """
ALTER TABLE booking.assignment
    ADD COLUMN agreed_at timestamptz,
    ADD COLUMN agreed_until timestamptz,
    ADD COLUMN agreed_version integer,
    ADD CONSTRAINT assignment_agreed_whole_check
        CHECK ((agreed_at IS NULL) = (agreed_until IS NULL) AND (agreed_at IS NULL) = (agreed_version IS NULL))
"""
NOTE = """
CREATE TABLE booking.helper_note (
    municipality text NOT NULL, assignment_id uuid NOT NULL, appointment_id uuid NOT NULL, case_id uuid,
    phrases text[] NOT NULL, text_sealed bytea, wrapped_key bytea, written_at timestamptz NOT NULL,
    CONSTRAINT helper_note_pkey PRIMARY KEY (municipality, assignment_id),
    CONSTRAINT helper_note_municipality_assignment_id_fkey
        FOREIGN KEY (municipality, assignment_id) REFERENCES booking.assignment (municipality, assignment_id),
    CONSTRAINT helper_note_text_whole_check CHECK ((text_sealed IS NULL) = (wrapped_key IS NULL)),
    CONSTRAINT helper_note_says_something_check CHECK (cardinality(phrases) > 0 OR text_sealed IS NOT NULL),
    CONSTRAINT helper_note_phrases_check CHECK (cardinality(phrases) <= 12))
"""
INDEXES = (
    "CREATE INDEX helper_note_case_idx ON booking.helper_note (municipality, case_id)",
    "CREATE INDEX helper_note_appointment_idx ON booking.helper_note (municipality, appointment_id)",
)


def upgrade() -> None:
    op.execute("""
        ALTER TABLE booking.appointment ADD COLUMN helper_ref text,
            ADD CONSTRAINT appointment_helper_named_check CHECK (helper_ref IS NULL OR helper = 'accepted')""")
    for statement in (NAME_HELPER, TRIGGER, KNOWN, AGREED, NOTE, *INDEXES):
        op.execute(statement)
    for statement in row_level_security("booking", "helper_note"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE booking.helper_note")
    op.execute("""
        ALTER TABLE booking.assignment DROP COLUMN agreed_at, DROP COLUMN agreed_until, DROP COLUMN agreed_version""")
    op.execute("DROP TRIGGER name_helper ON booking.appointment")
    op.execute("DROP FUNCTION booking.name_helper()")
    op.execute("ALTER TABLE booking.appointment DROP COLUMN helper_ref")
