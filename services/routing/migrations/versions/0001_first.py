"""Everything that the first version needs."""

from alembic import op

from shared.db import row_level_security
from shared.ledger.tables import ledger_v1
from shared.messaging.tables import messaging_v1
from shared.migrations_env import application_role
from shared.web.sessions import ended_session_v1

revision, down_revision, branch_labels, depends_on = "0001", None, None, None

SCHEMA = "routing"

OWN_TABLES = (
    "catalogue",
    "procedure",
    "counter",
    "account",
    "session",
    "case_file",
    "subject_key",
    "item",
    "offer",
    "pass_issued",
    "availability",
    "appointment",
    "reuse",
    "audit",
)
LEDGER_TABLES = ("ledger_chain", "ledger_entry")

STATEMENTS = (
    f"""CREATE TABLE {SCHEMA}.catalogue (
        municipality text NOT NULL, version integer NOT NULL, content_hash text NOT NULL,
        town_name_ja text NOT NULL, town_phone text NOT NULL, town_address_ja text NOT NULL,
        published_at timestamptz NOT NULL,
        CONSTRAINT catalogue_pkey PRIMARY KEY (municipality))""",
    f"""CREATE TABLE {SCHEMA}.procedure (
        municipality text NOT NULL, code text NOT NULL, position integer NOT NULL, withdrawn_at timestamptz,
        name_ja text NOT NULL, name_plain_ja text NOT NULL, name_en text NOT NULL, kana text NOT NULL,
        category text NOT NULL, words text[] NOT NULL, office text NOT NULL, online text NOT NULL,
        counter text NOT NULL, helper text NOT NULL, counter_minutes integer NOT NULL,
        fee_yen integer NOT NULL, items text[] NOT NULL, identity text NOT NULL, source text NOT NULL,
        counters text[] NOT NULL, discreet boolean NOT NULL,
        CONSTRAINT procedure_pkey PRIMARY KEY (municipality, code))""",
    f"""CREATE TABLE {SCHEMA}.counter (
        municipality text NOT NULL, code text NOT NULL, number text NOT NULL, name_ja text NOT NULL,
        office text NOT NULL, place_ja text NOT NULL,
        CONSTRAINT counter_pkey PRIMARY KEY (municipality, code))""",
    f"""CREATE TABLE {SCHEMA}.account (
        municipality text NOT NULL, account_id uuid NOT NULL, login text NOT NULL, password_hash text NOT NULL,
        roles text[] NOT NULL, office text, failures integer NOT NULL, locked_until timestamptz,
        version integer NOT NULL, opened_at timestamptz NOT NULL,
        CONSTRAINT account_pkey PRIMARY KEY (municipality, account_id),
        CONSTRAINT account_municipality_login_key UNIQUE (municipality, login))""",
    f"""CREATE TABLE {SCHEMA}.session (
        municipality text NOT NULL, session_id text NOT NULL, refresh_hash bytea NOT NULL, kind text NOT NULL,
        ref text NOT NULL, account_id uuid, subject_ref uuid, created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL, ended_at timestamptz,
        CONSTRAINT session_pkey PRIMARY KEY (municipality, session_id),
        CONSTRAINT session_kind_check CHECK (kind IN ('guest', 'staff')),
        CONSTRAINT session_municipality_refresh_hash_key UNIQUE (municipality, refresh_hash),
        CONSTRAINT session_municipality_account_id_fkey FOREIGN KEY (municipality, account_id)
            REFERENCES {SCHEMA}.account (municipality, account_id))""",
    f"CREATE INDEX session_account_idx ON {SCHEMA}.session (municipality, account_id)",
    f"""CREATE TABLE {SCHEMA}.case_file (
        municipality text NOT NULL, case_id uuid NOT NULL, procedure text NOT NULL, channel text NOT NULL,
        state text NOT NULL, guest_ref text NOT NULL, session_id text NOT NULL, subject_ref uuid, items text[],
        reach text, contact_sealed bytea, contact_commitment text, contact_given_at timestamptz,
        contact_ref uuid, contact_approval_id uuid, idempotency_key uuid NOT NULL,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, version integer NOT NULL,
        CONSTRAINT case_file_pkey PRIMARY KEY (municipality, case_id),
        CONSTRAINT case_file_state_check CHECK (state IN ('opened', 'told', 'handed_over')),
        CONSTRAINT case_file_reach_check CHECK (reach IN ('email', 'sms', 'none')),
        CONSTRAINT case_file_municipality_guest_ref_idempotency_key_key
            UNIQUE (municipality, guest_ref, idempotency_key))""",
    f"CREATE INDEX case_file_created_at_idx ON {SCHEMA}.case_file (municipality, created_at)",
    f"CREATE INDEX case_file_subject_idx ON {SCHEMA}.case_file (municipality, subject_ref)",
    f"""CREATE TABLE {SCHEMA}.subject_key (
        municipality text NOT NULL, subject_ref uuid NOT NULL, wrapped_key bytea NOT NULL,
        made_at timestamptz NOT NULL,
        CONSTRAINT subject_key_pkey PRIMARY KEY (municipality, subject_ref))""",
    f"""CREATE TABLE {SCHEMA}.item (
        municipality text NOT NULL, subject_ref uuid NOT NULL, key text NOT NULL, version integer NOT NULL,
        sealed bytea NOT NULL, commitment text NOT NULL, procedure text NOT NULL, case_id uuid NOT NULL,
        step text NOT NULL, how text NOT NULL, collected_at timestamptz NOT NULL,
        CONSTRAINT item_pkey PRIMARY KEY (municipality, subject_ref, key, version))""",
    f"""CREATE TABLE {SCHEMA}.offer (
        municipality text NOT NULL, offer_id uuid NOT NULL, case_id uuid NOT NULL, item text NOT NULL,
        commitment text NOT NULL, state text NOT NULL, approval_id uuid, offered_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL, decided_at timestamptz,
        CONSTRAINT offer_pkey PRIMARY KEY (municipality, offer_id),
        CONSTRAINT offer_state_check CHECK (state IN ('offered', 'previewed', 'approved', 'declined')))""",
    f"CREATE INDEX offer_case_idx ON {SCHEMA}.offer (municipality, case_id)",
    f"""CREATE TABLE {SCHEMA}.pass_issued (
        municipality text NOT NULL, pass_id uuid NOT NULL, case_id uuid NOT NULL, items text[] NOT NULL,
        issued_at timestamptz NOT NULL, expires_at timestamptz NOT NULL,
        CONSTRAINT pass_issued_pkey PRIMARY KEY (municipality, pass_id))""",
    f"CREATE INDEX pass_issued_case_idx ON {SCHEMA}.pass_issued (municipality, case_id)",
    f"""CREATE TABLE {SCHEMA}.availability (
        municipality text NOT NULL, counter text NOT NULL, earliest_at timestamptz, as_of timestamptz NOT NULL,
        version integer NOT NULL,
        CONSTRAINT availability_pkey PRIMARY KEY (municipality, counter))""",
    f"""CREATE TABLE {SCHEMA}.appointment (
        municipality text NOT NULL, appointment_id uuid NOT NULL, number text NOT NULL, subject_ref uuid,
        case_id uuid, procedure text NOT NULL, office text NOT NULL, counter text NOT NULL,
        starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, state text NOT NULL,
        version integer NOT NULL,
        CONSTRAINT appointment_pkey PRIMARY KEY (municipality, appointment_id))""",
    f"CREATE INDEX appointment_case_idx ON {SCHEMA}.appointment (municipality, case_id)",
    f"""CREATE TABLE {SCHEMA}.reuse (
        municipality text NOT NULL, entry_id uuid NOT NULL, service text NOT NULL,
        occurred_at timestamptz NOT NULL, received_at timestamptz NOT NULL, entry_type text NOT NULL,
        subject_ref uuid NOT NULL, actor_kind text NOT NULL, office text, source_procedure text,
        source_step text, source_collected_at timestamptz, target_service text NOT NULL, target_procedure text,
        target_step text NOT NULL, case_id uuid, items text[] NOT NULL, purpose text NOT NULL,
        legal_basis text NOT NULL, outcome text NOT NULL, visibility text NOT NULL,
        CONSTRAINT reuse_pkey PRIMARY KEY (municipality, entry_id))""",
    f"CREATE INDEX reuse_subject_idx ON {SCHEMA}.reuse (municipality, subject_ref, occurred_at)",
    f"""CREATE TABLE {SCHEMA}.audit (
        municipality text NOT NULL, audit_id uuid NOT NULL, occurred_at timestamptz NOT NULL,
        actor_kind text NOT NULL, actor_ref text NOT NULL, action text NOT NULL, ref text NOT NULL,
        office text,
        CONSTRAINT audit_pkey PRIMARY KEY (municipality, audit_id))""",
    f"CREATE INDEX audit_occurred_at_idx ON {SCHEMA}.audit (municipality, occurred_at)",
)


def upgrade() -> None:
    """Make all tables."""
    role = application_role(op.get_bind(), SCHEMA)
    for statement in (
        *messaging_v1(SCHEMA),
        *ledger_v1(SCHEMA, role),
        *ended_session_v1(SCHEMA),
        *STATEMENTS,
    ):
        op.execute(statement)
    for table in (*OWN_TABLES, *LEDGER_TABLES):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    # What staff did stays as it was written.
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {SCHEMA}.audit FROM {role}")


def downgrade() -> None:
    """Drop all tables."""
    for table in (*reversed(OWN_TABLES), "ended_session", *LEDGER_TABLES):
        op.execute(f"DROP TABLE {SCHEMA}.{table}")
    for table in ("due", "dead_letter", "inbox", "delivery", "outbox"):
        op.execute(f"DROP TABLE {SCHEMA}.{table}")
