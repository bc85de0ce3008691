"""The identity step of an online application, and a case that goes on at another device."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0027", "0026", None, None

COLUMNS = (
    "identity_step text NOT NULL DEFAULT ''",
    "finish text[] NOT NULL DEFAULT '{}'",
    "enclose text[] NOT NULL DEFAULT '{}'",
)
TABLES = (
    """CREATE TABLE routing.identity_attempt (
        municipality text NOT NULL, attempt_id uuid NOT NULL, case_id uuid NOT NULL, provider text NOT NULL,
        state_hash bytea NOT NULL, nonce text NOT NULL, verifier text NOT NULL, guest_ref text NOT NULL,
        session_id text NOT NULL, items jsonb NOT NULL, begun_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
        used_at timestamptz,
        CONSTRAINT identity_attempt_pkey PRIMARY KEY (municipality, attempt_id),
        CONSTRAINT identity_attempt_municipality_state_hash_key UNIQUE (municipality, state_hash))""",
    "CREATE INDEX identity_attempt_case_idx ON routing.identity_attempt (municipality, case_id)",
    """CREATE TABLE routing.identity_proof (
        municipality text NOT NULL, proof_id uuid NOT NULL, case_id uuid NOT NULL, provider text NOT NULL,
        subject_hash bytea NOT NULL, acr text NOT NULL, items jsonb NOT NULL, proven_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        CONSTRAINT identity_proof_pkey PRIMARY KEY (municipality, proof_id),
        CONSTRAINT identity_proof_lasts_check CHECK (expires_at > proven_at))""",
    "CREATE INDEX identity_proof_case_idx ON routing.identity_proof (municipality, case_id)",
    """CREATE TABLE routing.case_device (
        municipality text NOT NULL, device_id uuid NOT NULL, case_id uuid NOT NULL, number text NOT NULL,
        link_hash bytea NOT NULL, made_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
        code_failures integer NOT NULL DEFAULT 0, locked_until timestamptz, guest_ref text, opened_at timestamptz,
        ended_at timestamptz,
        CONSTRAINT case_device_pkey PRIMARY KEY (municipality, device_id),
        CONSTRAINT case_device_municipality_number_key UNIQUE (municipality, number),
        CONSTRAINT case_device_municipality_link_hash_key UNIQUE (municipality, link_hash),
        CONSTRAINT case_device_opened_check CHECK ((guest_ref IS NULL) = (opened_at IS NULL)),
        CONSTRAINT case_device_opened_in_time_check CHECK (opened_at < expires_at))""",
    """CREATE UNIQUE INDEX case_device_waiting_key ON routing.case_device (municipality, case_id)
        WHERE opened_at IS NULL AND ended_at IS NULL""",
    "CREATE INDEX case_device_case_idx ON routing.case_device (municipality, case_id)",
    "CREATE INDEX case_device_guest_idx ON routing.case_device (municipality, guest_ref)",
)
OWN_TABLES = ("identity_attempt", "identity_proof", "case_device")

# Who came to the desk was looked at there. Everybody else who sends what needs a proof has one: of the provider that
# the town asks for, for these very versions of the items, and in time.
GUARD = """CREATE FUNCTION routing.guard_identity() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
DECLARE
    asked text;
BEGIN
    IF NEW.state <> 'submitted'
       OR (TG_OP = 'UPDATE' AND OLD.state = 'submitted' AND OLD.items = NEW.items) THEN
        RETURN NEW;
    END IF;
    SELECT r.identity_step INTO asked FROM routing.office_rule r
        WHERE (r.municipality, r.procedure) = (NEW.municipality, NEW.procedure);
    IF coalesce(asked, '') = '' OR EXISTS (
            SELECT 1 FROM routing.case_file c
            WHERE (c.municipality, c.case_id, c.behalf) = (NEW.municipality, NEW.case_id, 'desk')) THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
            SELECT 1 FROM routing.identity_proof p
            WHERE (p.municipality, p.case_id, p.provider, p.items)
                = (NEW.municipality, NEW.case_id, asked, NEW.items)
              AND p.proven_at <= NEW.changed_at AND NEW.changed_at < p.expires_at) THEN
        RAISE EXCEPTION 'nobody has said who sends this'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'application_guard_identity';
    END IF;
    RETURN NEW;
END $$"""
TRIGGER = """CREATE TRIGGER guard_identity BEFORE INSERT OR UPDATE OF state, items ON routing.application
    FOR EACH ROW EXECUTE FUNCTION routing.guard_identity()"""


def upgrade() -> None:
    for column in COLUMNS:
        op.execute(f"ALTER TABLE routing.office_rule ADD COLUMN {column}")
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    op.execute(GUARD)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_identity ON routing.application")
    op.execute("DROP FUNCTION routing.guard_identity()")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    for column in COLUMNS:
        op.execute(f"ALTER TABLE routing.office_rule DROP COLUMN {column.partition(' ')[0]}")
