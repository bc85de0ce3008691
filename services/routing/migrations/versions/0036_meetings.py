"""Going through a case together with a helper, as its person agreed; and who comes to an appointment."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0036", "0035", None, None

MEETING = """
CREATE TABLE routing.meeting (
    municipality text NOT NULL, appointment_id uuid NOT NULL, case_id uuid NOT NULL, helper_ref text NOT NULL,
    agreed_at timestamptz NOT NULL, until timestamptz NOT NULL, version integer NOT NULL,
    CONSTRAINT meeting_pkey PRIMARY KEY (municipality, appointment_id),
    CONSTRAINT meeting_municipality_case_id_fkey
        FOREIGN KEY (municipality, case_id) REFERENCES routing.case_file (municipality, case_id),
    CONSTRAINT meeting_lasts_check CHECK (agreed_at <= until AND until <= agreed_at + interval '12 hours'))
"""
INDEX = "CREATE INDEX meeting_case_idx ON routing.meeting (municipality, case_id)"
# Whatever the application does: nobody but the helper who has accepted this appointment of this case.
GUARD = """
CREATE FUNCTION routing.guard_meeting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM routing.appointment a
        WHERE (a.municipality, a.appointment_id, a.case_id) = (NEW.municipality, NEW.appointment_id, NEW.case_id)
          AND a.helper = 'accepted' AND a.helper_ref = NEW.helper_ref AND a.state NOT IN ('cancelled', 'no_show'))
    THEN
        RAISE EXCEPTION 'no helper of this case' USING ERRCODE = 'check_violation', CONSTRAINT = 'guard_meeting';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_meeting BEFORE INSERT OR UPDATE OF helper_ref, case_id, agreed_at ON routing.meeting
    FOR EACH ROW EXECUTE FUNCTION routing.guard_meeting()
"""


def upgrade() -> None:
    op.execute("ALTER TABLE routing.appointment ADD COLUMN helper_ref text")
    for statement in (MEETING, INDEX, GUARD, TRIGGER, *row_level_security("routing", "meeting")):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE routing.meeting")
    op.execute("DROP FUNCTION routing.guard_meeting()")
    op.execute("ALTER TABLE routing.appointment DROP COLUMN helper_ref")
