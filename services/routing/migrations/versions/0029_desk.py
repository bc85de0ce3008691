"""What is prepared at home and confirmed at the counter: the number of a case, checks of items, and confirmations."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0029", "0027", None, None

# As `shared/reference_number.py` makes numbers (a test compares them). In the database, because a case has its number
# from its first moment, whichever process begins it. Ten signs from the random bytes of a UUID; the last is the check
# sign: -total / 11 modulo 23 is 2 * total. That no two are alike, the unique key sees to: of 23^10 numbers, the same
# one is hardly made twice, and looking each time would make the filling of a great table slow.
NUMBER = """CREATE FUNCTION routing.new_case_number() RETURNS text LANGUAGE plpgsql VOLATILE
    SET search_path = routing, pg_catalog AS $$
DECLARE
    alphabet CONSTANT text := '23456789ACEFHJKMNPRTWXY';
    places CONSTANT integer[] := ARRAY[0, 1, 2, 3, 4, 5, 9, 10, 11, 12];
    bytes bytea;
    signs text;
    total integer;
    sign integer;
BEGIN
    bytes := uuid_send(gen_random_uuid());
    signs := '';
    total := 0;
    FOR weight IN 1..10 LOOP
        sign := get_byte(bytes, places[weight]) % 23;
        signs := signs || substr(alphabet, sign + 1, 1);
        total := total + weight * sign;
    END LOOP;
    signs := signs || substr(alphabet, (2 * total) % 23 + 1, 1);
    RETURN signs;
END $$"""

TABLES = (
    """CREATE TABLE routing.desk_check (
        municipality text NOT NULL, case_id uuid NOT NULL, item text NOT NULL, version integer NOT NULL,
        ticked_by text NOT NULL, ticked_at timestamptz NOT NULL,
        CONSTRAINT desk_check_pkey PRIMARY KEY (municipality, case_id, item))""",
    """CREATE TABLE routing.desk_confirmation (
        municipality text NOT NULL, confirmation_id uuid NOT NULL, case_id uuid NOT NULL, items jsonb NOT NULL,
        how text NOT NULL, office text NOT NULL, staff_ref text NOT NULL, signature_version integer,
        confirmed_at timestamptz NOT NULL, replaced_at timestamptz,
        CONSTRAINT desk_confirmation_pkey PRIMARY KEY (municipality, confirmation_id),
        CONSTRAINT desk_confirmation_how_check CHECK (how IN ('tablet', 'paper')),
        CONSTRAINT desk_confirmation_items_check CHECK (items <> '{}'),
        CONSTRAINT desk_confirmation_signature_check CHECK (signature_version IS NULL OR how = 'tablet'))""",
    """CREATE UNIQUE INDEX desk_confirmation_standing_key ON routing.desk_confirmation (municipality, case_id)
        WHERE replaced_at IS NULL""",
    "CREATE INDEX desk_confirmation_case_idx ON routing.desk_confirmation (municipality, case_id, confirmed_at)",
)
OWN_TABLES = ("desk_check", "desk_confirmation")

# What somebody confirmed stays as it was confirmed; all that becomes of it is that another word replaces it.
GUARD = """CREATE FUNCTION routing.guard_confirmation() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF OLD.replaced_at IS NOT NULL OR NEW.replaced_at IS NULL
       OR to_jsonb(NEW) - 'replaced_at' IS DISTINCT FROM to_jsonb(OLD) - 'replaced_at' THEN
        RAISE EXCEPTION 'a confirmation does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'confirmation_guard';
    END IF;
    RETURN NEW;
END $$"""
# Whoever writes another version of what was confirmed, or of something else that the procedure asks for, by whichever
# code: the confirmation no longer stands. What an office or a person writes in letters is no item of a procedure.
REPLACE = """CREATE FUNCTION routing.replace_confirmation() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    UPDATE routing.desk_confirmation d SET replaced_at = NEW.collected_at
    WHERE (d.municipality, d.case_id) = (NEW.municipality, NEW.case_id) AND d.replaced_at IS NULL
      AND (d.items ? NEW.key OR EXISTS (
        SELECT 1 FROM routing.case_file c
        JOIN routing.procedure p ON (p.municipality, p.code) = (c.municipality, c.procedure)
        WHERE (c.municipality, c.case_id) = (NEW.municipality, NEW.case_id) AND NEW.key = ANY (p.items)));
    RETURN NULL;
END $$"""
TRIGGERS = (
    """CREATE TRIGGER guard_confirmation BEFORE UPDATE ON routing.desk_confirmation
        FOR EACH ROW EXECUTE FUNCTION routing.guard_confirmation()""",
    """CREATE TRIGGER replace_confirmation AFTER INSERT ON routing.item
        FOR EACH ROW EXECUTE FUNCTION routing.replace_confirmation()""",
)


def upgrade() -> None:
    op.execute("ALTER TABLE routing.case_file ADD COLUMN number text")
    op.execute("CREATE UNIQUE INDEX case_file_municipality_number_key ON routing.case_file (municipality, number)")
    op.execute(
        "ALTER TABLE routing.case_file ADD CONSTRAINT case_file_municipality_number_key"
        " UNIQUE USING INDEX case_file_municipality_number_key"
    )
    op.execute(NUMBER)
    op.execute("UPDATE routing.case_file SET number = routing.new_case_number()")
    op.execute(
        "ALTER TABLE routing.case_file ALTER COLUMN number SET DEFAULT routing.new_case_number(),"
        " ALTER COLUMN number SET NOT NULL"
    )
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    for statement in (GUARD, REPLACE, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER replace_confirmation ON routing.item")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    op.execute("DROP FUNCTION routing.replace_confirmation()")
    op.execute("DROP FUNCTION routing.guard_confirmation()")
    op.execute("ALTER TABLE routing.case_file DROP COLUMN number")
    op.execute("DROP FUNCTION routing.new_case_number()")
