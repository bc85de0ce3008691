"""Signing in without a password: contacts of accounts, links and codes that are used once, and passkeys."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0035", "0034", None, None

OF_ACCOUNT = "REFERENCES routing.account (municipality, account_id)"
TABLES = (
    f"""CREATE TABLE routing.account_contact (
        municipality text NOT NULL, account_id uuid NOT NULL, reach text NOT NULL, language text NOT NULL,
        address_hash bytea, hint text, vouched boolean NOT NULL, version integer NOT NULL, told_at timestamptz NOT NULL,
        verified_at timestamptz,
        CONSTRAINT account_contact_pkey PRIMARY KEY (municipality, account_id),
        CONSTRAINT account_contact_reach_check CHECK (reach IN ('email', 'sms', 'none')),
        CONSTRAINT account_contact_forgotten_check CHECK (
            CASE reach WHEN 'none' THEN num_nonnulls(address_hash, hint, verified_at) = 0 AND NOT vouched
            ELSE num_nonnulls(address_hash, hint) = 2 END),
        CONSTRAINT account_contact_municipality_account_id_fkey FOREIGN KEY (municipality, account_id) {OF_ACCOUNT})""",
    """CREATE UNIQUE INDEX account_contact_address_key ON routing.account_contact (municipality, address_hash)
        WHERE verified_at IS NOT NULL OR vouched""",
    f"""CREATE TABLE routing.sign_in_asking (
        municipality text NOT NULL, asking_id uuid NOT NULL, account_id uuid NOT NULL, purpose text NOT NULL,
        link_hash bytea NOT NULL, failures integer NOT NULL, asked_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL, used_at timestamptz, ended_at timestamptz,
        CONSTRAINT sign_in_asking_pkey PRIMARY KEY (municipality, asking_id),
        CONSTRAINT sign_in_asking_municipality_link_hash_key UNIQUE (municipality, link_hash),
        CONSTRAINT sign_in_asking_purpose_check CHECK (purpose IN ('sign_in', 'prove')),
        CONSTRAINT sign_in_asking_used_in_time_check CHECK (used_at < expires_at),
        CONSTRAINT sign_in_asking_few_tries_check CHECK (failures BETWEEN 0 AND 5),
        CONSTRAINT sign_in_asking_municipality_account_id_fkey FOREIGN KEY (municipality, account_id) {OF_ACCOUNT})""",
    """CREATE INDEX sign_in_asking_account_idx
        ON routing.sign_in_asking (municipality, account_id, asked_at)""",
    f"""CREATE TABLE routing.passkey (
        municipality text NOT NULL, passkey_id uuid NOT NULL, account_id uuid NOT NULL, credential_id bytea NOT NULL,
        public_key bytea NOT NULL, sign_count bigint NOT NULL, name text NOT NULL, made_at timestamptz NOT NULL,
        last_used_at timestamptz,
        CONSTRAINT passkey_pkey PRIMARY KEY (municipality, passkey_id),
        CONSTRAINT passkey_municipality_credential_id_key UNIQUE (municipality, credential_id),
        CONSTRAINT passkey_municipality_account_id_fkey FOREIGN KEY (municipality, account_id) {OF_ACCOUNT})""",
    "CREATE INDEX passkey_account_idx ON routing.passkey (municipality, account_id)",
    f"""CREATE TABLE routing.passkey_challenge (
        municipality text NOT NULL, challenge_id uuid NOT NULL, challenge bytea NOT NULL, account_id uuid,
        expires_at timestamptz NOT NULL,
        CONSTRAINT passkey_challenge_pkey PRIMARY KEY (municipality, challenge_id),
        CONSTRAINT passkey_challenge_municipality_account_id_fkey
            FOREIGN KEY (municipality, account_id) {OF_ACCOUNT})""",
    "CREATE INDEX passkey_challenge_expires_idx ON routing.passkey_challenge (municipality, expires_at)",
)
OWN_TABLES = ("account_contact", "sign_in_asking", "passkey", "passkey_challenge")
# Whatever a program thinks: a link or a code that was used, or is over, lets nobody in any more.
GUARD_ASKING = """CREATE FUNCTION routing.guard_sign_in_asking() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF OLD.used_at IS NOT NULL OR OLD.ended_at IS NOT NULL THEN
        RAISE EXCEPTION 'what was used, or is over, stays so'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sign_in_asking_guard';
    END IF;
    RETURN NEW;
END $$"""
# An authenticator counts upwards: a copy of it is found out by a number that was there before.
GUARD_PASSKEY = """CREATE FUNCTION routing.guard_passkey() RETURNS trigger LANGUAGE plpgsql
    SET search_path = routing, pg_catalog AS $$
BEGIN
    IF (NEW.account_id, NEW.credential_id, NEW.public_key) <> (OLD.account_id, OLD.credential_id, OLD.public_key)
        OR NEW.sign_count < OLD.sign_count OR (NEW.sign_count = OLD.sign_count AND NEW.sign_count > 0)
    THEN
        RAISE EXCEPTION 'a passkey stays whose it is, and counts upwards'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'passkey_guard';
    END IF;
    RETURN NEW;
END $$"""
TRIGGERS = (
    """CREATE TRIGGER guard_sign_in_asking BEFORE UPDATE ON routing.sign_in_asking
        FOR EACH ROW EXECUTE FUNCTION routing.guard_sign_in_asking()""",
    """CREATE TRIGGER guard_passkey BEFORE UPDATE ON routing.passkey
        FOR EACH ROW EXECUTE FUNCTION routing.guard_passkey()""",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    for statement in (GUARD_ASKING, GUARD_PASSKEY, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    op.execute("DROP FUNCTION routing.guard_passkey()")
    op.execute("DROP FUNCTION routing.guard_sign_in_asking()")
