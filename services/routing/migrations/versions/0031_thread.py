"""The thread of a case: how it began and went from channel to channel, every state of its appointments, its notices."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0031", "0030", None, None

TABLES = (
    """CREATE TABLE routing.case_step (
        municipality text NOT NULL, case_id uuid NOT NULL, version integer NOT NULL, kind text NOT NULL,
        channel text NOT NULL, actor_kind text NOT NULL, occurred_at timestamptz NOT NULL,
        CONSTRAINT case_step_pkey PRIMARY KEY (municipality, case_id, version),
        CONSTRAINT case_step_kind_check CHECK (kind IN ('begun', 'switched', 'closed')),
        CONSTRAINT case_step_actor_check CHECK (actor_kind IN ('', 'guest', 'staff', 'helper')))""",
    """CREATE TABLE routing.appointment_step (
        municipality text NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL, case_id uuid NOT NULL,
        number text NOT NULL, office text NOT NULL, counter text NOT NULL, starts_at timestamptz NOT NULL,
        state text NOT NULL, sequence integer NOT NULL, helper text NOT NULL, closure text NOT NULL,
        occurred_at timestamptz NOT NULL,
        CONSTRAINT appointment_step_pkey PRIMARY KEY (municipality, appointment_id, version))""",
    "CREATE INDEX appointment_step_case_idx ON routing.appointment_step (municipality, case_id)",
    """CREATE TABLE routing.case_notice (
        municipality text NOT NULL, notice_id uuid NOT NULL, version integer NOT NULL, case_id uuid NOT NULL,
        kind text NOT NULL, way text NOT NULL, state text NOT NULL, occurred_at timestamptz NOT NULL,
        CONSTRAINT case_notice_pkey PRIMARY KEY (municipality, notice_id))""",
    "CREATE INDEX case_notice_case_idx ON routing.case_notice (municipality, case_id)",
)
OWN_TABLES = ("case_step", "appointment_step", "case_notice")

# Whichever code begins a case, or leads it to another channel. Back online by the office, it has it again: that is the
# office's step, and no other way.
TELL = (
    """CREATE FUNCTION routing.tell_case_begun() RETURNS trigger LANGUAGE plpgsql
        SET search_path = routing, pg_catalog AS $$
    BEGIN
        INSERT INTO routing.case_step (municipality, case_id, version, kind, channel, actor_kind, occurred_at)
        VALUES (NEW.municipality, NEW.case_id, NEW.version, 'begun', NEW.channel,
                CASE WHEN NEW.behalf IS NULL THEN 'guest' ELSE 'staff' END, NEW.created_at);
        RETURN NULL;
    END $$""",
    """CREATE FUNCTION routing.tell_case_switched() RETURNS trigger LANGUAGE plpgsql
        SET search_path = routing, pg_catalog AS $$
    BEGIN
        INSERT INTO routing.case_step (municipality, case_id, version, kind, channel, actor_kind, occurred_at)
        VALUES (NEW.municipality, NEW.case_id, NEW.version, 'switched', NEW.to_channel, '', NEW.switched_at);
        RETURN NULL;
    END $$""",
)
TRIGGERS = (
    """CREATE TRIGGER tell_case_begun AFTER INSERT ON routing.case_file
        FOR EACH ROW EXECUTE FUNCTION routing.tell_case_begun()""",
    """CREATE TRIGGER tell_case_switched AFTER INSERT ON routing.case_switch
        FOR EACH ROW WHEN (NEW.said <> 'office' OR NEW.to_channel <> 'online')
        EXECUTE FUNCTION routing.tell_case_switched()""",
)

# Of cases and appointments of before, what is known of them now.
BEFORE = (
    """INSERT INTO routing.case_step (municipality, case_id, version, kind, channel, actor_kind, occurred_at)
        SELECT municipality, case_id, 0, 'begun', channel, CASE WHEN behalf IS NULL THEN 'guest' ELSE 'staff' END,
               created_at FROM routing.case_file""",
    """INSERT INTO routing.appointment_step (municipality, appointment_id, version, case_id, number, office, counter,
            starts_at, state, sequence, helper, closure, occurred_at)
        SELECT a.municipality, a.appointment_id, a.version, a.case_id, a.number, a.office, a.counter, a.starts_at,
               a.state, 0, a.helper, a.closure, c.updated_at
        FROM routing.appointment a JOIN routing.case_file c USING (municipality, case_id)""",
)


def upgrade() -> None:
    for statement in (*TABLES, *BEFORE, *TELL, *TRIGGERS):
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_case_switched ON routing.case_switch")
    op.execute("DROP FUNCTION routing.tell_case_switched()")
    op.execute("DROP TRIGGER tell_case_begun ON routing.case_file")
    op.execute("DROP FUNCTION routing.tell_case_begun()")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
