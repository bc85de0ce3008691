"""Online applications; and offers say whether an item would be handed over or used in the case's own form."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0004", "0003", None, None

TABLES = (
    """CREATE TABLE routing.application (
        municipality text NOT NULL, application_id uuid NOT NULL, number text NOT NULL, case_id uuid NOT NULL,
        procedure text NOT NULL, office text NOT NULL, subject_ref uuid NOT NULL, guest_ref text NOT NULL,
        contact_ref uuid, state text NOT NULL, version integer NOT NULL, items jsonb NOT NULL,
        submit_key uuid NOT NULL, submitted_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
        code_failures integer NOT NULL DEFAULT 0, locked_until timestamptz,
        CONSTRAINT application_pkey PRIMARY KEY (municipality, application_id),
        CONSTRAINT application_municipality_number_key UNIQUE (municipality, number),
        CONSTRAINT application_municipality_case_id_key UNIQUE (municipality, case_id),
        CONSTRAINT application_municipality_case_id_fkey FOREIGN KEY (municipality, case_id)
            REFERENCES routing.case_file (municipality, case_id),
        CONSTRAINT application_state_check CHECK (
            state IN ('submitted', 'accepted', 'correction_asked', 'completed', 'withdrawn')))""",
    "CREATE INDEX application_submitted_at_idx ON routing.application (municipality, submitted_at)",
    """CREATE TABLE routing.application_step (
        municipality text NOT NULL, application_id uuid NOT NULL, version integer NOT NULL, state text NOT NULL,
        occurred_at timestamptz NOT NULL, actor_kind text NOT NULL, office text, reason_version integer,
        CONSTRAINT application_step_pkey PRIMARY KEY (municipality, application_id, version),
        CONSTRAINT application_step_municipality_application_id_fkey FOREIGN KEY (municipality, application_id)
            REFERENCES routing.application (municipality, application_id))""",
    """CREATE TABLE routing.application_link (
        municipality text NOT NULL, link_hash bytea NOT NULL, application_id uuid NOT NULL,
        issued_at timestamptz NOT NULL,
        CONSTRAINT application_link_pkey PRIMARY KEY (municipality, link_hash),
        CONSTRAINT application_link_municipality_application_id_fkey FOREIGN KEY (municipality, application_id)
            REFERENCES routing.application (municipality, application_id))""",
    """CREATE TABLE routing.office_look (
        municipality text NOT NULL, case_id uuid NOT NULL, office text NOT NULL, step text NOT NULL, day date NOT NULL,
        CONSTRAINT office_look_pkey PRIMARY KEY (municipality, case_id, office, step, day))""",
)
OWN_TABLES = ("application", "application_step", "application_link", "office_look")

# What the application may not do even with its own checks removed: skip a step, go back, or move without a new version.
GUARD = """CREATE FUNCTION routing.guard_application() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state AND (
        NEW.version <> OLD.version + 1
        OR (OLD.state, NEW.state) NOT IN (
            ('submitted', 'accepted'), ('submitted', 'correction_asked'), ('submitted', 'withdrawn'),
            ('accepted', 'completed'), ('accepted', 'correction_asked'), ('accepted', 'withdrawn'),
            ('correction_asked', 'submitted'), ('correction_asked', 'accepted'), ('correction_asked', 'withdrawn')))
    THEN
        RAISE EXCEPTION 'an application cannot go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_guard_move';
    END IF;
    RETURN NEW;
END $$"""
TRIGGER = """CREATE TRIGGER guard_application BEFORE UPDATE ON routing.application
    FOR EACH ROW EXECUTE FUNCTION routing.guard_application()"""


def upgrade() -> None:
    # Constant defaults: no rewrite of the table, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.offer ADD COLUMN step text NOT NULL DEFAULT 'handover'")
    op.execute("ALTER TABLE routing.offer ADD COLUMN applied_at timestamptz")
    op.execute("ALTER TABLE routing.offer ADD CONSTRAINT offer_step_check CHECK (step IN ('handover', 'form'))")
    op.execute("ALTER TABLE routing.case_file DROP CONSTRAINT case_file_state_check")
    op.execute("""ALTER TABLE routing.case_file ADD CONSTRAINT case_file_state_check
        CHECK (state IN ('opened', 'told', 'handed_over', 'submitted'))""")
    for statement in (*TABLES, GUARD, TRIGGER):
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    op.execute("DROP FUNCTION routing.guard_application()")
    # The version before knows only what is handed over.
    op.execute("DELETE FROM routing.offer WHERE step <> 'handover'")
    op.execute("UPDATE routing.case_file SET state = 'told' WHERE state = 'submitted'")
    op.execute("ALTER TABLE routing.case_file DROP CONSTRAINT case_file_state_check")
    op.execute("""ALTER TABLE routing.case_file ADD CONSTRAINT case_file_state_check
        CHECK (state IN ('opened', 'told', 'handed_over'))""")
    op.execute("ALTER TABLE routing.offer DROP COLUMN step, DROP COLUMN applied_at")
