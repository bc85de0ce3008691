"""Counts of how well the channels serve, without persons; what people said afterwards, and what of it is published."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0023", "0022", None, None

COUNTED = """month date NOT NULL, procedure text NOT NULL, channel text NOT NULL, kind text NOT NULL,
        to_channel text NOT NULL DEFAULT '', step text NOT NULL DEFAULT '', took_min integer NOT NULL DEFAULT 0,
        people integer NOT NULL DEFAULT 1, amount integer NOT NULL DEFAULT 0"""
KIND = """CHECK (kind IN ('started', 'sent', 'finished', 'given_up', 'switched', 'spared', 'easy', 'fair', 'hard',
            'worked', 'not_worked'))"""
MONTH = "CHECK (month = date_trunc('month', month))"
TABLES = (
    """CREATE TABLE routing.case_course (
        municipality text NOT NULL, case_id uuid NOT NULL, sent_at timestamptz, spared_at timestamptz,
        ended_at timestamptz, ended_how text,
        CONSTRAINT case_course_pkey PRIMARY KEY (municipality, case_id),
        CONSTRAINT case_course_ended_how_check CHECK (ended_how IN ('finished', 'given_up')),
        CONSTRAINT case_course_ended_check CHECK ((ended_at IS NULL) = (ended_how IS NULL)))""",
    f"""CREATE TABLE routing.quality_fact (
        municipality text NOT NULL, fact_id uuid NOT NULL DEFAULT gen_random_uuid(), {COUNTED},
        CONSTRAINT quality_fact_pkey PRIMARY KEY (municipality, fact_id),
        CONSTRAINT quality_fact_kind_check {KIND}, CONSTRAINT quality_fact_month_check {MONTH})""",
    f"""CREATE TABLE routing.quality_count (
        municipality text NOT NULL, {COUNTED},
        CONSTRAINT quality_count_pkey
            PRIMARY KEY (municipality, month, procedure, channel, kind, to_channel, step, took_min),
        CONSTRAINT quality_count_kind_check {KIND}, CONSTRAINT quality_count_month_check {MONTH})""",
    """CREATE TABLE routing.feedback (
        municipality text NOT NULL, case_id uuid NOT NULL, subject_ref uuid NOT NULL, procedure text NOT NULL,
        office text NOT NULL, channel text NOT NULL, ease text NOT NULL, worked boolean NOT NULL,
        text_version integer, answer_version integer, voice_id uuid, version integer NOT NULL,
        given_at timestamptz NOT NULL, answered_at timestamptz, counted_at timestamptz,
        CONSTRAINT feedback_pkey PRIMARY KEY (municipality, case_id),
        CONSTRAINT feedback_ease_check CHECK (ease IN ('easy', 'fair', 'hard')),
        CONSTRAINT feedback_answered_check CHECK ((answer_version IS NULL) = (answered_at IS NULL)))""",
    "CREATE INDEX feedback_given_at_idx ON routing.feedback (municipality, given_at)",
    "CREATE INDEX feedback_subject_idx ON routing.feedback (municipality, subject_ref)",
    """CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON routing.feedback
        FOR EACH ROW EXECUTE FUNCTION routing.guard_erased()""",
    f"""CREATE TABLE routing.voice (
        municipality text NOT NULL, voice_id uuid NOT NULL, month date NOT NULL, said text NOT NULL,
        answer text NOT NULL,
        CONSTRAINT voice_pkey PRIMARY KEY (municipality, voice_id), CONSTRAINT voice_month_check {MONTH})""",
    "CREATE INDEX voice_month_idx ON routing.voice (municipality, month)",
    f"""CREATE TABLE routing.improvement (
        municipality text NOT NULL, improvement_id uuid NOT NULL, month date NOT NULL, said text NOT NULL,
        CONSTRAINT improvement_pkey PRIMARY KEY (municipality, improvement_id),
        CONSTRAINT improvement_month_check {MONTH})""",
    "CREATE INDEX improvement_month_idx ON routing.improvement (municipality, month)",
)
OWN_TABLES = ("case_course", "quality_fact", "quality_count", "feedback", "voice", "improvement")

# Whoever begins a case, or goes on by another channel, is counted, whichever code did it.
COUNT = """CREATE FUNCTION routing.count_case() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind)
        VALUES (NEW.municipality, date_trunc('month', NEW.created_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                NEW.channel, 'started');
    ELSIF NEW.channel <> OLD.channel THEN
        INSERT INTO routing.quality_fact (municipality, month, procedure, channel, kind, to_channel, step)
        VALUES (NEW.municipality, date_trunc('month', NEW.updated_at AT TIME ZONE 'Asia/Tokyo'), NEW.procedure,
                OLD.channel, 'switched', NEW.channel, OLD.state);
    END IF;
    RETURN NULL;
END $$"""
TRIGGER = """CREATE TRIGGER count_case AFTER INSERT OR UPDATE OF channel ON routing.case_file
    FOR EACH ROW EXECUTE FUNCTION routing.count_case()"""

# Cases of before: what is over is not begun, given up or done once more. They are in no figure.
BEFORE = """INSERT INTO routing.case_course (municipality, case_id, sent_at, spared_at, ended_at, ended_how)
    SELECT municipality, case_id, updated_at, updated_at, updated_at, 'given_up' FROM routing.case_file"""


def upgrade() -> None:
    for statement in (*TABLES, BEFORE, COUNT, TRIGGER):
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER count_case ON routing.case_file")
    op.execute("DROP FUNCTION routing.count_case()")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
