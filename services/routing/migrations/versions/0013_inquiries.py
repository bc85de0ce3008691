"""Inquiries about entries of a history; who of the staff read what, and what a privacy officer has looked into."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0013", "0012", None, None

TABLES = (
    """CREATE TABLE routing.inquiry (
        municipality text NOT NULL, inquiry_id uuid NOT NULL, number text NOT NULL, entry_id uuid NOT NULL,
        subject_ref uuid NOT NULL, kind text NOT NULL, office text NOT NULL, procedure text NOT NULL,
        state text NOT NULL, version integer NOT NULL, asked_at timestamptz NOT NULL, due_at timestamptz NOT NULL,
        changed_at timestamptz NOT NULL,
        CONSTRAINT inquiry_pkey PRIMARY KEY (municipality, inquiry_id),
        CONSTRAINT inquiry_municipality_number_key UNIQUE (municipality, number),
        CONSTRAINT inquiry_kind_check CHECK (kind IN ('unfamiliar', 'correction')),
        CONSTRAINT inquiry_state_check CHECK (
            state IN ('open', 'answered', 'asked_again', 'answered_again', 'closed')))""",
    """CREATE UNIQUE INDEX inquiry_one_per_entry_idx ON routing.inquiry (municipality, entry_id, kind)
        WHERE state <> 'closed'""",
    """CREATE INDEX inquiry_waiting_idx ON routing.inquiry (municipality, due_at)
        WHERE state IN ('open', 'asked_again')""",
    "CREATE INDEX inquiry_subject_idx ON routing.inquiry (municipality, subject_ref)",
    """CREATE TABLE routing.inquiry_step (
        municipality text NOT NULL, inquiry_id uuid NOT NULL, version integer NOT NULL, state text NOT NULL,
        occurred_at timestamptz NOT NULL, actor_kind text NOT NULL, office text, text_version integer,
        CONSTRAINT inquiry_step_pkey PRIMARY KEY (municipality, inquiry_id, version),
        CONSTRAINT inquiry_step_municipality_inquiry_id_fkey FOREIGN KEY (municipality, inquiry_id)
            REFERENCES routing.inquiry (municipality, inquiry_id))""",
    """CREATE TABLE routing.watch_check (
        municipality text NOT NULL, finding_id uuid NOT NULL, rule text NOT NULL, actor_ref text NOT NULL,
        looks integer NOT NULL, last_at timestamptz NOT NULL, checked_at timestamptz NOT NULL,
        checked_by text NOT NULL,
        CONSTRAINT watch_check_pkey PRIMARY KEY (municipality, finding_id))""",
)
OWN_TABLES = ("inquiry", "inquiry_step", "watch_check")

# Even with the application's own checks removed: no answer is skipped, taken back or given twice.
GUARD = """CREATE FUNCTION routing.guard_inquiry() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF (NEW.state, NEW.version) <> ('open', 1) THEN
            RAISE EXCEPTION 'an inquiry begins open' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'inquiry_guard_move';
        END IF;
    ELSIF NEW.version <> OLD.version + 1 OR (OLD.state, NEW.state) NOT IN (
        ('open', 'answered'), ('answered', 'closed'), ('answered', 'asked_again'),
        ('asked_again', 'answered_again'), ('answered_again', 'closed'))
    THEN
        RAISE EXCEPTION 'an inquiry cannot go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inquiry_guard_move';
    END IF;
    RETURN NEW;
END $$"""
TRIGGER = """CREATE TRIGGER guard_inquiry BEFORE INSERT OR UPDATE ON routing.inquiry
    FOR EACH ROW EXECUTE FUNCTION routing.guard_inquiry()"""


def upgrade() -> None:
    for statement in (*TABLES, GUARD, TRIGGER):
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    # What an officer has looked into stays written.
    role = application_role(op.get_bind(), "routing")
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON routing.watch_check FROM {role}")
    # Empty for what was told before, and for residents always.
    op.execute("ALTER TABLE routing.reuse ADD COLUMN actor_ref text")
    op.execute("CREATE INDEX reuse_occurred_at_idx ON routing.reuse (municipality, occurred_at)")


def downgrade() -> None:
    op.execute("DROP INDEX routing.reuse_occurred_at_idx")
    op.execute("ALTER TABLE routing.reuse DROP COLUMN actor_ref")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    op.execute("DROP FUNCTION routing.guard_inquiry()")
