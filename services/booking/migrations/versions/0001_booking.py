"""Everything that booking starts with."""

from alembic import op

from shared.db import row_level_security
from shared.ledger.tables import ledger_v1
from shared.messaging.tables import messaging_v1
from shared.migrations_env import application_role
from shared.web.sessions import ended_session_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# In the order in which they can be made.
OWN_TABLES = (
    "town_facts",
    "procedure",
    "counter",
    "booking_rules",
    "counter_rule",
    "closure",
    "slot",
    "place",
    "subject_key",
    "visit",
    "appointment",
    "access",
    "ticket_roll",
    "counter_version",
    "idempotency",
    "audit",
)
SHARED_TABLES = (
    "ended_session", "ledger_chain", "ledger_entry", "delivery", "outbox", "inbox", "dead_letter", "due",
)  # fmt: skip

PROJECTIONS = """
CREATE TABLE booking.town_facts (
    municipality text NOT NULL, name_ja text NOT NULL, phone text NOT NULL, host text NOT NULL,
    version integer NOT NULL,
    CONSTRAINT town_facts_pkey PRIMARY KEY (municipality));
CREATE TABLE booking.procedure (
    municipality text NOT NULL, code text NOT NULL, name_ja text NOT NULL, office text NOT NULL,
    counters text[] NOT NULL, minutes integer NOT NULL, discreet boolean NOT NULL, version integer NOT NULL,
    CONSTRAINT procedure_pkey PRIMARY KEY (municipality, code));
CREATE TABLE booking.counter (
    municipality text NOT NULL, code text NOT NULL, number text NOT NULL, name_ja text NOT NULL, office text NOT NULL,
    place_ja text NOT NULL, version integer NOT NULL,
    CONSTRAINT counter_pkey PRIMARY KEY (municipality, code));
"""

RULES = """
CREATE TABLE booking.booking_rules (
    municipality text NOT NULL, horizon_days integer NOT NULL, notice_min integer NOT NULL,
    cancel_until_min integer NOT NULL, hold_min integer NOT NULL, holidays boolean NOT NULL, year_end boolean NOT NULL,
    version integer NOT NULL,
    CONSTRAINT booking_rules_pkey PRIMARY KEY (municipality));
CREATE TABLE booking.counter_rule (
    municipality text NOT NULL, counter text NOT NULL, office text NOT NULL, slot_min integer NOT NULL,
    places integer NOT NULL, staff_only_places integer NOT NULL, hours jsonb NOT NULL, version integer NOT NULL,
    CONSTRAINT counter_rule_pkey PRIMARY KEY (municipality, counter),
    CONSTRAINT counter_rule_staff_only_places_check CHECK (staff_only_places BETWEEN 0 AND places));
CREATE TABLE booking.closure (
    municipality text NOT NULL, first_day date NOT NULL, last_day date NOT NULL, reason_ja text NOT NULL,
    CONSTRAINT closure_pkey PRIMARY KEY (municipality, first_day, last_day),
    CONSTRAINT closure_days_check CHECK (first_day <= last_day));
"""

PLACES = """
CREATE TABLE booking.slot (
    municipality text NOT NULL, slot_id uuid NOT NULL, counter text NOT NULL, starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL, capacity integer NOT NULL, withdrawn boolean NOT NULL DEFAULT false,
    CONSTRAINT slot_pkey PRIMARY KEY (municipality, slot_id),
    CONSTRAINT slot_municipality_slot_id_capacity_key UNIQUE (municipality, slot_id, capacity),
    CONSTRAINT slot_times_check CHECK (starts_at < ends_at),
    CONSTRAINT slot_capacity_check CHECK (capacity BETWEEN 1 AND 50),
    CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist
        (municipality WITH =, counter WITH =, tstzrange(starts_at, ends_at) WITH &&));
CREATE INDEX slot_municipality_counter_starts_at_idx ON booking.slot (municipality, counter, starts_at);
CREATE TABLE booking.place (
    municipality text NOT NULL, slot_id uuid NOT NULL, place_no integer NOT NULL, capacity integer NOT NULL,
    audience text NOT NULL, hold_id uuid, held_by text, held_until timestamptz, visit_id uuid, appointment_id uuid,
    changed_at timestamptz NOT NULL,
    CONSTRAINT place_pkey PRIMARY KEY (municipality, slot_id, place_no),
    CONSTRAINT place_municipality_slot_id_capacity_fkey FOREIGN KEY (municipality, slot_id, capacity)
        REFERENCES booking.slot (municipality, slot_id, capacity),
    CONSTRAINT place_municipality_appointment_id_key UNIQUE (municipality, appointment_id),
    CONSTRAINT place_place_no_check CHECK (place_no BETWEEN 1 AND capacity),
    CONSTRAINT place_audience_check CHECK (audience IN ('public', 'staff')),
    CONSTRAINT place_hold_whole_check CHECK (
        (hold_id IS NULL) = (held_until IS NULL) AND (hold_id IS NULL) = (held_by IS NULL)
        AND (hold_id IS NULL OR visit_id IS NOT NULL)),
    CONSTRAINT place_one_taker_check CHECK (appointment_id IS NULL OR hold_id IS NULL));
CREATE UNIQUE INDEX place_one_hold_per_visit_idx ON booking.place (municipality, visit_id) WHERE hold_id IS NOT NULL;
"""

APPOINTMENTS = """
CREATE TABLE booking.subject_key (
    municipality text NOT NULL, subject_ref uuid NOT NULL, wrapped_key bytea NOT NULL,
    CONSTRAINT subject_key_pkey PRIMARY KEY (municipality, subject_ref));
CREATE TABLE booking.visit (
    municipality text NOT NULL, visit_id uuid NOT NULL, pass_id uuid NOT NULL, guest_ref text NOT NULL,
    subject_ref uuid NOT NULL, case_id uuid NOT NULL, contact_ref uuid, procedure text NOT NULL, reach text NOT NULL,
    draft_sealed bytea, code_sealed bytea, passed_at timestamptz NOT NULL, arrived_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL, appointment_id uuid,
    CONSTRAINT visit_pkey PRIMARY KEY (municipality, visit_id),
    CONSTRAINT visit_municipality_pass_id_key UNIQUE (municipality, pass_id));
CREATE TABLE booking.appointment (
    municipality text NOT NULL, appointment_id uuid NOT NULL, number text NOT NULL, kind text NOT NULL,
    state text NOT NULL, version integer NOT NULL, sequence integer NOT NULL, procedure text NOT NULL,
    counter text NOT NULL, office text NOT NULL, slot_id uuid, place_no integer, starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL, day date NOT NULL, visit_id uuid, guest_ref text, subject_ref uuid, case_id uuid,
    contact_ref uuid, reach text NOT NULL, name_sealed bytea, kana_sealed bytea, ticket_no integer,
    booked_at timestamptz NOT NULL, changed_at timestamptz NOT NULL, checked_in_at timestamptz, called_at timestamptz,
    serving_at timestamptz, done_at timestamptz, no_show_at timestamptz, cancelled_at timestamptz,
    code_failures integer NOT NULL DEFAULT 0, locked_until timestamptz,
    CONSTRAINT appointment_pkey PRIMARY KEY (municipality, appointment_id),
    CONSTRAINT appointment_municipality_number_key UNIQUE (municipality, number),
    CONSTRAINT appointment_municipality_slot_id_place_no_fkey FOREIGN KEY (municipality, slot_id, place_no)
        REFERENCES booking.place (municipality, slot_id, place_no),
    CONSTRAINT appointment_kind_check CHECK (kind IN ('booked', 'walk_in')),
    CONSTRAINT appointment_state_check CHECK (
        state IN ('booked', 'checked_in', 'called', 'serving', 'done', 'no_show', 'cancelled')),
    CONSTRAINT appointment_place_whole_check CHECK (
        (slot_id IS NULL) = (place_no IS NULL) AND (kind = 'walk_in' OR slot_id IS NOT NULL)),
    CONSTRAINT appointment_walk_in_is_here_check CHECK (kind = 'booked' OR state <> 'booked'),
    CONSTRAINT appointment_reach_check CHECK (reach IN ('email', 'sms', 'none')));
CREATE UNIQUE INDEX appointment_one_per_place_idx ON booking.appointment (municipality, slot_id, place_no)
    WHERE state <> 'cancelled' AND slot_id IS NOT NULL;
CREATE UNIQUE INDEX appointment_ticket_idx ON booking.appointment (municipality, counter, day, ticket_no)
    WHERE ticket_no IS NOT NULL;
CREATE INDEX appointment_municipality_day_office_idx ON booking.appointment (municipality, day, office);
ALTER TABLE booking.place ADD CONSTRAINT place_municipality_appointment_id_fkey
    FOREIGN KEY (municipality, appointment_id) REFERENCES booking.appointment (municipality, appointment_id);
CREATE TABLE booking.access (
    municipality text NOT NULL, link_hash bytea NOT NULL, appointment_id uuid NOT NULL, code_hash bytea NOT NULL,
    issued_at timestamptz NOT NULL,
    CONSTRAINT access_pkey PRIMARY KEY (municipality, link_hash),
    CONSTRAINT access_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id));
CREATE INDEX access_municipality_appointment_id_issued_at_idx
    ON booking.access (municipality, appointment_id, issued_at);
CREATE TABLE booking.ticket_roll (
    municipality text NOT NULL, counter text NOT NULL, day date NOT NULL, last_no integer NOT NULL,
    CONSTRAINT ticket_roll_pkey PRIMARY KEY (municipality, counter, day));
"""

ORDER = """
CREATE TABLE booking.counter_version (
    municipality text NOT NULL, counter text NOT NULL, version integer NOT NULL, earliest_at timestamptz,
    published_at timestamptz NOT NULL,
    CONSTRAINT counter_version_pkey PRIMARY KEY (municipality, counter));
CREATE TABLE booking.idempotency (
    municipality text NOT NULL, owner text NOT NULL, key text NOT NULL, request_hash bytea NOT NULL, response jsonb,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (municipality, owner, key));
CREATE INDEX idempotency_municipality_created_at_idx ON booking.idempotency (municipality, created_at);
CREATE TABLE booking.audit (
    municipality text NOT NULL, audit_id uuid NOT NULL, occurred_at timestamptz NOT NULL, actor_kind text NOT NULL,
    actor_ref text NOT NULL, office text, command text NOT NULL, ref text NOT NULL, ref_version bigint,
    CONSTRAINT audit_pkey PRIMARY KEY (municipality, audit_id));
CREATE INDEX audit_municipality_occurred_at_idx ON booking.audit (municipality, occurred_at);
"""

# What the application may not do even with its own checks removed. Time is the application's argument: it stands in
# `changed_at` of the very update that takes the place, so a hold is judged by the clock that made it. An update that
# forgets to bring its time keeps the old one, by which a hold that was taken is always still alive.
GUARD = """
CREATE FUNCTION booking.guard_place() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    IF OLD.appointment_id IS NOT NULL AND NEW.appointment_id IS DISTINCT FROM OLD.appointment_id THEN
        IF NEW.appointment_id IS NOT NULL THEN
            RAISE EXCEPTION 'place is taken by another appointment'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_appointment';
        END IF;
        IF EXISTS (SELECT 1 FROM booking.appointment a
                   WHERE a.municipality = OLD.municipality AND a.appointment_id = OLD.appointment_id
                     AND a.slot_id = OLD.slot_id AND a.place_no = OLD.place_no AND a.state <> 'cancelled') THEN
            RAISE EXCEPTION 'place belongs to a live appointment'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_release';
        END IF;
    END IF;
    IF OLD.hold_id IS NOT NULL AND OLD.held_until > NEW.changed_at
       AND (NEW.hold_id IS NOT NULL OR NEW.appointment_id IS NOT NULL)
       AND NEW.visit_id IS DISTINCT FROM OLD.visit_id THEN
        RAISE EXCEPTION 'place is held by another visit'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_hold';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_place BEFORE UPDATE ON booking.place FOR EACH ROW EXECUTE FUNCTION booking.guard_place();
"""


def upgrade() -> None:
    for statement in messaging_v1("booking"):
        op.execute(statement)
    role = application_role(op.get_bind(), "booking")
    for statement in ledger_v1("booking", role):
        op.execute(statement)
    for statement in ended_session_v1("booking"):
        op.execute(statement)
    for script in (PROJECTIONS, RULES, PLACES, APPOINTMENTS, ORDER):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    function, trigger = GUARD.split("END $$;")
    op.execute(function + "END $$")
    op.execute(trigger)
    for table in (*OWN_TABLES, "ledger_entry", "ledger_chain"):
        for statement in row_level_security("booking", table):
            op.execute(statement)
    # What staff did is written once: nobody changes or removes it.
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON booking.audit FROM {role}")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_municipality_appointment_id_fkey")
    for table in (*reversed(OWN_TABLES), *SHARED_TABLES):
        op.execute(f"DROP TABLE booking.{table}")
    op.execute("DROP FUNCTION booking.guard_place()")
