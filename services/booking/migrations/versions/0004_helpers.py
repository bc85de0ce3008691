"""Helpers: their roster, shifts and assignments; venues beside counters; places that no helper is there for."""

from alembic import op

from shared.db import row_level_security

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("helper", "helper_shift", "assignment")

# Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
COLUMNS = """
ALTER TABLE booking.procedure ADD COLUMN with_helper boolean NOT NULL DEFAULT false;
ALTER TABLE booking.counter ADD COLUMN kind text NOT NULL DEFAULT 'counter';
ALTER TABLE booking.counter_rule ADD COLUMN kind text NOT NULL DEFAULT 'counter';
ALTER TABLE booking.counter_rule ADD CONSTRAINT counter_rule_kind_check CHECK (kind IN ('counter', 'venue'));
ALTER TABLE booking.visit ADD COLUMN channel text NOT NULL DEFAULT 'counter',
    ADD COLUMN language text NOT NULL DEFAULT 'ja';
ALTER TABLE booking.visit ADD CONSTRAINT visit_channel_check CHECK (channel IN ('counter', 'helper'));
ALTER TABLE booking.appointment ADD COLUMN helper text NOT NULL DEFAULT 'none',
    ADD COLUMN language text NOT NULL DEFAULT 'ja';
ALTER TABLE booking.appointment
    ADD CONSTRAINT appointment_helper_check CHECK (helper IN ('none', 'asked', 'accepted', 'nobody'));
"""
# At a venue a slot grows and shrinks with the shifts, also while somebody is in it.
PLACES = """
ALTER TABLE booking.place DROP CONSTRAINT place_audience_check;
ALTER TABLE booking.place
    ADD CONSTRAINT place_audience_check CHECK (audience IN ('public', 'staff', 'closed'));
ALTER TABLE booking.place DROP CONSTRAINT place_municipality_slot_id_capacity_fkey;
ALTER TABLE booking.place ADD CONSTRAINT place_municipality_slot_id_capacity_fkey
    FOREIGN KEY (municipality, slot_id, capacity) REFERENCES booking.slot (municipality, slot_id, capacity)
    ON UPDATE CASCADE;
"""
HELPERS = """
CREATE TABLE booking.helper (
    municipality text NOT NULL, helper_ref text NOT NULL, name_sealed bytea, wrapped_key bytea,
    languages text[] NOT NULL, is_open boolean NOT NULL, version integer NOT NULL, feed_hash bytea,
    feed_made_at timestamptz,
    CONSTRAINT helper_pkey PRIMARY KEY (municipality, helper_ref),
    CONSTRAINT helper_municipality_feed_hash_key UNIQUE (municipality, feed_hash));
CREATE TABLE booking.helper_shift (
    municipality text NOT NULL, shift_id uuid NOT NULL, helper_ref text NOT NULL, venue text NOT NULL,
    weekday integer NOT NULL, from_min integer NOT NULL, to_min integer NOT NULL,
    CONSTRAINT helper_shift_pkey PRIMARY KEY (municipality, shift_id),
    CONSTRAINT helper_shift_municipality_helper_ref_fkey FOREIGN KEY (municipality, helper_ref)
        REFERENCES booking.helper (municipality, helper_ref),
    CONSTRAINT helper_shift_weekday_check CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT helper_shift_times_check CHECK (0 <= from_min AND from_min < to_min AND to_min <= 1440),
    CONSTRAINT helper_shift_no_overlap_excl EXCLUDE USING gist
        (municipality WITH =, helper_ref WITH =, weekday WITH =, int4range(from_min, to_min) WITH &&));
CREATE INDEX helper_shift_venue_idx ON booking.helper_shift (municipality, venue);
CREATE TABLE booking.assignment (
    municipality text NOT NULL, assignment_id uuid NOT NULL, appointment_id uuid NOT NULL, helper_ref text NOT NULL,
    state text NOT NULL, during tstzrange NOT NULL, asked_at timestamptz NOT NULL, answered_at timestamptz,
    viewed_at timestamptz,
    CONSTRAINT assignment_pkey PRIMARY KEY (municipality, assignment_id),
    CONSTRAINT assignment_municipality_appointment_id_fkey FOREIGN KEY (municipality, appointment_id)
        REFERENCES booking.appointment (municipality, appointment_id),
    CONSTRAINT assignment_municipality_helper_ref_fkey FOREIGN KEY (municipality, helper_ref)
        REFERENCES booking.helper (municipality, helper_ref),
    CONSTRAINT assignment_state_check CHECK (state IN ('asked', 'accepted', 'declined', 'released')),
    CONSTRAINT assignment_no_overlap_excl EXCLUDE USING gist
        (municipality WITH =, helper_ref WITH =, during WITH &&) WHERE (state IN ('asked', 'accepted')));
CREATE UNIQUE INDEX assignment_one_live_idx ON booking.assignment (municipality, appointment_id)
    WHERE state IN ('asked', 'accepted');
CREATE INDEX assignment_helper_idx ON booking.assignment (municipality, helper_ref);
CREATE INDEX assignment_appointment_idx ON booking.assignment (municipality, appointment_id);
"""


def upgrade() -> None:
    for script in (COLUMNS, PLACES, HELPERS):
        for statement in script.split(";\n"):
            if statement.strip():
                op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_municipality_slot_id_capacity_fkey")
    op.execute("""ALTER TABLE booking.place ADD CONSTRAINT place_municipality_slot_id_capacity_fkey
        FOREIGN KEY (municipality, slot_id, capacity) REFERENCES booking.slot (municipality, slot_id, capacity)""")
    # The version before gives such places out only by staff.
    op.execute("UPDATE booking.place SET audience = 'staff' WHERE audience = 'closed'")
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_audience_check")
    op.execute("""ALTER TABLE booking.place
        ADD CONSTRAINT place_audience_check CHECK (audience IN ('public', 'staff'))""")
    op.execute("ALTER TABLE booking.appointment DROP COLUMN helper, DROP COLUMN language")
    op.execute("ALTER TABLE booking.visit DROP COLUMN channel, DROP COLUMN language")
    op.execute("ALTER TABLE booking.counter_rule DROP COLUMN kind")
    op.execute("ALTER TABLE booking.counter DROP COLUMN kind")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN with_helper")
