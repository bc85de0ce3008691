"""The office's rules for applications: periods, checks, assignment, two persons, visits and refusals."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0022", "0021", None, None

TABLES = (
    """CREATE TABLE routing.office_rule (
        municipality text NOT NULL, procedure text NOT NULL, process_days integer, two_persons boolean NOT NULL,
        checks jsonb NOT NULL, appeal_to text NOT NULL, appeal_first boolean NOT NULL,
        CONSTRAINT office_rule_pkey PRIMARY KEY (municipality, procedure))""",
    """CREATE TABLE routing.application_check (
        municipality text NOT NULL, application_id uuid NOT NULL, code text NOT NULL, ticked_by text NOT NULL,
        ticked_at timestamptz NOT NULL,
        CONSTRAINT application_check_pkey PRIMARY KEY (municipality, application_id, code),
        CONSTRAINT application_check_municipality_application_id_fkey FOREIGN KEY (municipality, application_id)
            REFERENCES routing.application (municipality, application_id))""",
)
OWN_TABLES = ("office_rule", "application_check")

# No default but a constant: no rewrite of the table, and the processes of the version before go on writing.
COLUMNS = (
    "due_at timestamptz",
    "assignee text",
    "two_persons boolean NOT NULL DEFAULT false",
    "accepted_by text",
    "completed_by text",
    "appeal_to text",
    "appeal_first boolean NOT NULL DEFAULT false",
)
STATES_BEFORE = "'submitted', 'accepted', 'correction_asked', 'completed', 'withdrawn'"
STATES = "'submitted', 'accepted', 'correction_asked', 'visit_asked', 'completed', 'refused', 'withdrawn'"
MOVES_BEFORE = """
            ('submitted', 'accepted'), ('submitted', 'correction_asked'), ('submitted', 'withdrawn'),
            ('accepted', 'completed'), ('accepted', 'correction_asked'), ('accepted', 'withdrawn'),
            ('correction_asked', 'submitted'), ('correction_asked', 'accepted'), ('correction_asked', 'withdrawn')"""
MOVES = (
    MOVES_BEFORE
    + """,
            ('submitted', 'visit_asked'), ('submitted', 'refused'), ('accepted', 'visit_asked'),
            ('accepted', 'refused'), ('correction_asked', 'visit_asked'), ('correction_asked', 'refused'),
            ('visit_asked', 'accepted'), ('visit_asked', 'refused'), ('visit_asked', 'withdrawn')"""
)
# Who accepted is said when it is accepted, and not changed to let the same person complete; nor is the rule lifted.
PERSONS = """
    IF NEW.two_persons IS DISTINCT FROM OLD.two_persons
        OR (NEW.accepted_by IS DISTINCT FROM OLD.accepted_by
            AND (NEW.state <> 'accepted' OR OLD.state = 'accepted'))
        OR (NEW.completed_by IS DISTINCT FROM OLD.completed_by
            AND (NEW.state <> 'completed' OR OLD.state = 'completed'))
    THEN
        RAISE EXCEPTION 'who decided an application is not changed afterwards'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_guard_persons';
    END IF;"""


def guard(moves: str, more: str) -> str:
    """The trigger's function: which moves there are, and what else must hold."""
    return f"""CREATE OR REPLACE FUNCTION routing.guard_application() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state AND (
        NEW.version <> OLD.version + 1
        OR (OLD.state, NEW.state) NOT IN ({moves}))
    THEN
        RAISE EXCEPTION 'an application cannot go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_guard_move';
    END IF;{more}
    RETURN NEW;
END $$"""


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE routing.application ADD COLUMN {column}")
    op.execute("ALTER TABLE routing.application DROP CONSTRAINT application_state_check")
    op.execute(f"ALTER TABLE routing.application ADD CONSTRAINT application_state_check CHECK (state IN ({STATES}))")
    op.execute("""ALTER TABLE routing.application ADD CONSTRAINT application_two_persons_check CHECK (
        NOT two_persons OR state <> 'completed' OR (accepted_by IS NOT NULL AND completed_by IS NOT NULL
        AND accepted_by <> completed_by))""")
    op.execute("""ALTER TABLE routing.application ADD CONSTRAINT application_appeal_told_check
        CHECK (state <> 'refused' OR appeal_to IS NOT NULL)""")
    op.execute("""CREATE INDEX application_open_idx ON routing.application (municipality, office, due_at, submitted_at)
        WHERE state NOT IN ('completed', 'refused', 'withdrawn')""")
    op.execute(guard(MOVES, PERSONS))
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    # What the version before knows nothing of: it would close a refusal, and ask for what a visit was to settle.
    op.execute("ALTER TABLE routing.application DISABLE TRIGGER guard_application")
    op.execute("ALTER TABLE routing.application DROP CONSTRAINT application_two_persons_check")
    for table in ("application", "application_step"):
        op.execute(f"UPDATE routing.{table} SET state = 'withdrawn' WHERE state = 'refused'")
        op.execute(f"UPDATE routing.{table} SET state = 'correction_asked' WHERE state = 'visit_asked'")
    op.execute("ALTER TABLE routing.application ENABLE TRIGGER guard_application")
    op.execute(guard(MOVES_BEFORE, ""))
    op.execute("DROP INDEX routing.application_open_idx")
    op.execute("ALTER TABLE routing.application DROP CONSTRAINT application_appeal_told_check")
    op.execute("ALTER TABLE routing.application DROP CONSTRAINT application_state_check")
    op.execute(
        f"ALTER TABLE routing.application ADD CONSTRAINT application_state_check CHECK (state IN ({STATES_BEFORE}))"
    )
    for column in COLUMNS:
        op.execute(f"ALTER TABLE routing.application DROP COLUMN {column.partition(' ')[0]}")
