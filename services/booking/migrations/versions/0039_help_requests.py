"""Requests for help without a chosen time, and who was matched to them."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0039", "0038", None, None

TABLES = ("help_request", "help_match")

REQUESTS = """
CREATE TABLE booking.help_request (
    municipality text NOT NULL, request_id uuid NOT NULL, number text NOT NULL, state text NOT NULL,
    version integer NOT NULL, came_by text NOT NULL, guest_ref text, subject_ref uuid, case_id uuid, contact_ref uuid,
    reach text NOT NULL, procedure text NOT NULL, topic text NOT NULL, venues text[] NOT NULL,
    only_there boolean NOT NULL, first_day date NOT NULL, last_day date NOT NULL, weekdays integer[] NOT NULL,
    from_min integer NOT NULL, to_min integer NOT NULL, class_too boolean NOT NULL, language text NOT NULL,
    language_need text NOT NULL, sign_need text NOT NULL, draft_sealed bytea, passed_at timestamptz NOT NULL,
    link_hash bytea, code_hash bytea, code_sealed bytea, access_sealed text, code_failures integer NOT NULL DEFAULT 0,
    locked_until timestamptz, opened_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
    until timestamptz NOT NULL, appointment_id uuid,
    CONSTRAINT help_request_pkey PRIMARY KEY (municipality, request_id),
    CONSTRAINT help_request_municipality_number_key UNIQUE (municipality, number),
    CONSTRAINT help_request_municipality_link_hash_key UNIQUE (municipality, link_hash),
    CONSTRAINT help_request_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id),
    CONSTRAINT help_request_state_check CHECK (state IN ('open', 'met', 'unmet', 'withdrawn')),
    CONSTRAINT help_request_met_whole_check CHECK (
        CASE state WHEN 'met' THEN appointment_id IS NOT NULL OR subject_ref IS NULL
                   WHEN 'open' THEN subject_ref IS NOT NULL ELSE appointment_id IS NULL END),
    CONSTRAINT help_request_came_by_check CHECK (came_by IN ('web', 'phone', 'desk')),
    CONSTRAINT help_request_reach_check CHECK (reach IN ('email', 'sms', 'none')),
    CONSTRAINT help_request_days_check CHECK (first_day <= last_day),
    CONSTRAINT help_request_weekdays_check CHECK (
        cardinality(weekdays) > 0 AND weekdays <@ ARRAY[1, 2, 3, 4, 5, 6, 7]),
    CONSTRAINT help_request_times_check CHECK (0 <= from_min AND from_min < to_min AND to_min <= 1440),
    CONSTRAINT help_request_language_need_check CHECK (language_need IN ('none', 'wished', 'needed')),
    CONSTRAINT help_request_sign_need_check CHECK (sign_need IN ('none', 'wished', 'needed')),
    CONSTRAINT help_request_until_check CHECK (until > opened_at));
CREATE UNIQUE INDEX help_request_one_open_idx ON booking.help_request (municipality, case_id) WHERE state = 'open';
CREATE UNIQUE INDEX help_request_appointment_idx ON booking.help_request (municipality, appointment_id)
    WHERE appointment_id IS NOT NULL;
CREATE INDEX help_request_state_idx ON booking.help_request (municipality, state, until);
CREATE INDEX help_request_subject_idx ON booking.help_request (municipality, subject_ref)
    WHERE subject_ref IS NOT NULL;
CREATE INDEX help_request_case_idx ON booking.help_request (municipality, case_id) WHERE case_id IS NOT NULL;
CREATE TABLE booking.help_match (
    municipality text NOT NULL, match_id uuid NOT NULL, request_id uuid NOT NULL, helper_ref text NOT NULL,
    slot_id uuid NOT NULL, reasons text[] NOT NULL, decided_by text, matched_at timestamptz NOT NULL,
    appointment_id uuid,
    CONSTRAINT help_match_pkey PRIMARY KEY (municipality, match_id),
    CONSTRAINT help_match_municipality_request_id_fkey FOREIGN KEY (municipality, request_id)
        REFERENCES booking.help_request (municipality, request_id),
    CONSTRAINT help_match_municipality_helper_ref_fkey FOREIGN KEY (municipality, helper_ref)
        REFERENCES booking.helper (municipality, helper_ref),
    CONSTRAINT help_match_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id));
CREATE UNIQUE INDEX help_match_one_planned_idx ON booking.help_match (municipality, request_id)
    WHERE appointment_id IS NULL;
CREATE UNIQUE INDEX help_match_never_again_idx ON booking.help_match (municipality, request_id, helper_ref)
    WHERE decided_by IS NULL;
CREATE INDEX help_match_helper_idx ON booking.help_match (municipality, helper_ref) WHERE appointment_id IS NULL
"""
# Whoever has withdrawn is asked for nothing any more, whatever was under way meanwhile.
GUARD = """
CREATE FUNCTION booking.guard_help_request() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF OLD.state = 'withdrawn' AND NEW.state <> 'withdrawn' THEN
        RAISE EXCEPTION 'this request was withdrawn'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'help_request_guard_withdrawn';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER guard_help_request BEFORE UPDATE ON booking.help_request
       FOR EACH ROW EXECUTE FUNCTION booking.guard_help_request()""",
    """CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON booking.help_request
       FOR EACH ROW EXECUTE FUNCTION booking.guard_erased()""",
)


def upgrade() -> None:
    for statement in (*REQUESTS.split(";\n"), GUARD, *TRIGGERS):
        op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
    op.execute("DROP FUNCTION booking.guard_help_request()")
