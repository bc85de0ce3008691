"""Everything that the first version needs."""

from alembic import op

from shared.db import row_level_security
from shared.ledger.tables import ledger_v1
from shared.messaging.tables import messaging_v1
from shared.migrations_env import application_role
from shared.web.sessions import ended_session_v1

revision, down_revision, branch_labels, depends_on = "0001", None, None, None

SCHEMA = "notifications"

TABLES = (
    f"""CREATE TABLE {SCHEMA}.subject_key (
        municipality text NOT NULL, subject_ref uuid NOT NULL, wrapped_key bytea NOT NULL, made_at timestamptz NOT NULL,
        CONSTRAINT subject_key_pkey PRIMARY KEY (municipality, subject_ref))""",
    f"""CREATE TABLE {SCHEMA}.contact_point (
        municipality text NOT NULL, contact_ref uuid NOT NULL, version integer NOT NULL, subject_ref uuid NOT NULL,
        reach text NOT NULL, address_sealed bytea, language text NOT NULL, approval_id uuid NOT NULL,
        case_id uuid NOT NULL, given_at timestamptz NOT NULL,
        CONSTRAINT contact_point_pkey PRIMARY KEY (municipality, contact_ref),
        CONSTRAINT contact_point_reach_check CHECK (reach IN ('email', 'sms', 'none')))""",
    f"CREATE INDEX contact_point_subject_idx ON {SCHEMA}.contact_point (municipality, subject_ref)",
    f"""CREATE TABLE {SCHEMA}.appointment (
        municipality text NOT NULL, appointment_id uuid NOT NULL, version integer NOT NULL, number text NOT NULL,
        subject_ref uuid, contact_ref uuid, case_id uuid, procedure text NOT NULL, office text NOT NULL,
        counter text NOT NULL, starts_at timestamptz NOT NULL, ends_at timestamptz NOT NULL, state text NOT NULL,
        sequence integer NOT NULL, booked_at timestamptz NOT NULL, access_sealed bytea,
        access_version integer NOT NULL DEFAULT 0,
        CONSTRAINT appointment_pkey PRIMARY KEY (municipality, appointment_id))""",
    f"""CREATE TABLE {SCHEMA}.catalogue_town (
        municipality text NOT NULL, version integer NOT NULL, name_ja text NOT NULL, phone text NOT NULL,
        public_url text NOT NULL,
        CONSTRAINT catalogue_town_pkey PRIMARY KEY (municipality))""",
    f"""CREATE TABLE {SCHEMA}.catalogue_procedure (
        municipality text NOT NULL, code text NOT NULL, name_ja text NOT NULL, discreet boolean NOT NULL,
        CONSTRAINT catalogue_procedure_pkey PRIMARY KEY (municipality, code))""",
    f"""CREATE TABLE {SCHEMA}.catalogue_counter (
        municipality text NOT NULL, code text NOT NULL, number text NOT NULL, name_ja text NOT NULL,
        place_ja text NOT NULL,
        CONSTRAINT catalogue_counter_pkey PRIMARY KEY (municipality, code))""",
    f"""CREATE TABLE {SCHEMA}.reminder_rule (
        municipality text NOT NULL, rule text NOT NULL, before_min integer, after_booking_s integer,
        CONSTRAINT reminder_rule_pkey PRIMARY KEY (municipality, rule),
        CONSTRAINT reminder_rule_one_time_check CHECK ((before_min IS NULL) <> (after_booking_s IS NULL)))""",
    f"""CREATE TABLE {SCHEMA}.notice (
        municipality text NOT NULL, notice_id uuid NOT NULL, kind text NOT NULL, appointment_id uuid NOT NULL,
        occasion text NOT NULL, sequence integer NOT NULL, appointment_version integer NOT NULL, contact_ref uuid,
        reach text, state text NOT NULL, keeps_quiet boolean NOT NULL, created_at timestamptz NOT NULL,
        useful_until timestamptz NOT NULL, tries integer NOT NULL DEFAULT 0, settled_at timestamptz, reason text,
        delivery text,
        CONSTRAINT notice_pkey PRIMARY KEY (municipality, notice_id),
        CONSTRAINT notice_municipality_appointment_id_kind_occasion_key
            UNIQUE (municipality, appointment_id, kind, occasion),
        CONSTRAINT notice_kind_check CHECK (kind IN ('confirmation', 'change', 'cancellation', 'reminder')),
        CONSTRAINT notice_state_check CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'unknown', 'superseded',
            'undeliverable', 'printed_slip')))""",
    f"CREATE INDEX notice_created_idx ON {SCHEMA}.notice (municipality, created_at DESC)",
    f"""CREATE INDEX notice_waiting_idx ON {SCHEMA}.notice (municipality, contact_ref)
        WHERE state IN ('pending', 'unknown')""",
    f"""CREATE TABLE {SCHEMA}.attempt (
        municipality text NOT NULL, notice_id uuid NOT NULL, attempt_no integer NOT NULL, lease_token uuid NOT NULL,
        leased_until timestamptz NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz, outcome text,
        provider text NOT NULL, provider_ref text, error_code text,
        CONSTRAINT attempt_pkey PRIMARY KEY (municipality, notice_id, attempt_no),
        CONSTRAINT attempt_municipality_notice_id_fkey FOREIGN KEY (municipality, notice_id)
            REFERENCES {SCHEMA}.notice (municipality, notice_id))""",
    f"""CREATE TABLE {SCHEMA}.staff_task (
        municipality text NOT NULL, task_id uuid NOT NULL, reason text NOT NULL, notice_id uuid NOT NULL,
        appointment_id uuid NOT NULL, number text NOT NULL, opened_at timestamptz NOT NULL, done_at timestamptz,
        done_by text,
        CONSTRAINT staff_task_pkey PRIMARY KEY (municipality, task_id),
        CONSTRAINT staff_task_municipality_notice_id_key UNIQUE (municipality, notice_id))""",
    f"CREATE INDEX staff_task_open_idx ON {SCHEMA}.staff_task (municipality, opened_at) WHERE done_at IS NULL",
    f"""CREATE TABLE {SCHEMA}.audit (
        municipality text NOT NULL, audit_id uuid NOT NULL, occurred_at timestamptz NOT NULL, actor_kind text NOT NULL,
        actor_ref text NOT NULL, office text, action text NOT NULL, ref text NOT NULL,
        CONSTRAINT audit_pkey PRIMARY KEY (municipality, audit_id))""",
)

OF_ONE_TOWN = (
    "subject_key",
    "contact_point",
    "appointment",
    "catalogue_town",
    "catalogue_procedure",
    "catalogue_counter",
    "reminder_rule",
    "notice",
    "attempt",
    "staff_task",
    "audit",
    "ledger_entry",
    "ledger_chain",
)

# Dependants first.
ALL_TABLES = (
    "attempt",
    "staff_task",
    "notice",
    "reminder_rule",
    "catalogue_counter",
    "catalogue_procedure",
    "catalogue_town",
    "appointment",
    "contact_point",
    "subject_key",
    "audit",
    "ended_session",
    "ledger_chain",
    "ledger_entry",
    "due",
    "dead_letter",
    "inbox",
    "delivery",
    "outbox",
)


def upgrade() -> None:
    """Make all tables."""
    role = application_role(op.get_bind(), SCHEMA)
    statements = [*messaging_v1(SCHEMA), *ledger_v1(SCHEMA, role), *ended_session_v1(SCHEMA), *TABLES]
    for statement in statements:
        op.execute(statement)
    for table in OF_ONE_TOWN:
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    # What staff did stays as it was written.
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {SCHEMA}.audit FROM {role}")


def downgrade() -> None:
    """Drop all tables."""
    for table in ALL_TABLES:
        op.execute(f"DROP TABLE {SCHEMA}.{table}")
