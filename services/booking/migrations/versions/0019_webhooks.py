"""Webhooks: other systems of the town, and what each is to be told of what happened."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0019", "0018", None, None

TABLES = ("webhook_endpoint", "webhook_delivery")

WEBHOOKS = """
CREATE TABLE booking.webhook_endpoint (
    municipality text NOT NULL, endpoint_id uuid NOT NULL, name_ja text NOT NULL, url text NOT NULL,
    kinds text[] NOT NULL, state text NOT NULL, wrapped_key bytea, secret_sealed bytea NOT NULL,
    old_secret_sealed bytea, old_secret_until timestamptz, failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz, registered_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
    CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (municipality, endpoint_id),
    CONSTRAINT webhook_endpoint_state_check CHECK (state IN ('active', 'paused', 'stopped')),
    CONSTRAINT webhook_endpoint_kinds_check CHECK (cardinality(kinds) > 0),
    CONSTRAINT webhook_endpoint_old_secret_check CHECK ((old_secret_sealed IS NULL) = (old_secret_until IS NULL)),
    CONSTRAINT webhook_endpoint_failing_check CHECK ((failures = 0) = (failing_since IS NULL)));
CREATE TABLE booking.webhook_delivery (
    municipality text NOT NULL, delivery_id uuid NOT NULL, endpoint_id uuid NOT NULL, kind text NOT NULL,
    about text NOT NULL, version integer NOT NULL, facts jsonb NOT NULL, told_at timestamptz NOT NULL,
    state text NOT NULL, tries integer NOT NULL DEFAULT 0, next_try_at timestamptz NOT NULL,
    failing_since timestamptz, answer text, answered_at timestamptz,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (municipality, delivery_id),
    CONSTRAINT webhook_delivery_state_check CHECK (state IN ('waiting', 'taken', 'given_up')));
CREATE INDEX webhook_delivery_waiting_idx ON booking.webhook_delivery (municipality, endpoint_id, next_try_at)
    WHERE state = 'waiting';
CREATE INDEX webhook_delivery_municipality_told_at_idx ON booking.webhook_delivery (municipality, told_at);
"""
# Who wants to know gets a row. Whoever sends is woken, unless they are at it, or somebody else is just waking them:
# then they look again by themselves. Nobody who books waits for anybody here.
TELL = """
CREATE FUNCTION booking.tell_webhooks(
    town text, said text, said_about text, said_version integer, said_facts jsonb, said_at timestamptz)
    RETURNS void LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    INSERT INTO booking.webhook_delivery
        (municipality, delivery_id, endpoint_id, kind, about, version, facts, told_at, state, next_try_at)
    SELECT town, gen_random_uuid(), e.endpoint_id, said, said_about, said_version, said_facts, said_at, 'waiting',
           said_at
    FROM booking.webhook_endpoint e WHERE e.municipality = town AND said = ANY (e.kinds);
    -- In a rush they are at it, or about to be.
    IF NOT FOUND OR NOT EXISTS (
        SELECT 1 FROM booking.due w
        WHERE w.municipality = town AND w.kind = 'webhook' AND w.leased_until IS NULL AND w.due_at > said_at) THEN
        RETURN;
    END IF;
    UPDATE booking.due d SET due_at = said_at
    WHERE (d.municipality, d.kind, d.ref) IN (
        SELECT w.municipality, w.kind, w.ref FROM booking.webhook_endpoint e
        JOIN booking.due w ON (w.municipality, w.kind, w.ref) = (town, 'webhook', e.endpoint_id::text)
        WHERE e.municipality = town AND said = ANY (e.kinds) AND e.state = 'active' AND e.failures = 0
          AND w.leased_until IS NULL AND w.due_at > said_at
        FOR UPDATE OF w SKIP LOCKED);
END $$
"""
# In the transaction of the event, by whatever command: none can forget it. Of what the event says, only what is about
# no person goes on.
HEAR = """
CREATE FUNCTION booking.hear_for_webhooks() RETURNS trigger LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
DECLARE
    fact jsonb;
    said text;
BEGIN
    -- Most towns have none.
    IF NOT EXISTS (SELECT 1 FROM booking.webhook_endpoint e WHERE e.municipality = NEW.municipality) THEN
        RETURN NULL;
    END IF;
    fact := convert_from(NEW.payload, 'UTF8')::jsonb;
    said := CASE
        WHEN NEW.type = 'booking.appointment_booked.v1' THEN 'appointment.booked'
        WHEN NEW.type = 'booking.appointment_changed.v1' OR fact ->> 'state' = 'booked' THEN 'appointment.changed'
        ELSE 'appointment.' || (fact ->> 'state') END;
    PERFORM booking.tell_webhooks(
        NEW.municipality, said, NEW.aggregate_id, NEW.aggregate_version,
        jsonb_build_object('state', fact -> 'state', 'procedure', fact -> 'procedure', 'office', fact -> 'office',
                           'counter', fact -> 'counter', 'starts_at', fact -> 'starts_at',
                           'ends_at', fact -> 'ends_at', 'closure', coalesce(fact -> 'closure', '"none"')),
        NEW.occurred_at);
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER hear_for_webhooks AFTER INSERT ON booking.outbox FOR EACH ROW
WHEN (starts_with(NEW.type, 'booking.appointment_')) EXECUTE FUNCTION booking.hear_for_webhooks()
"""


def upgrade() -> None:
    for statement in WEBHOOKS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("booking", table):
            op.execute(statement)
    for statement in (TELL, HEAR, TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER hear_for_webhooks ON booking.outbox")
    op.execute("DROP FUNCTION booking.hear_for_webhooks()")
    op.execute("DROP FUNCTION booking.tell_webhooks(text, text, text, integer, jsonb, timestamptz)")
    op.execute("DELETE FROM booking.due WHERE kind = 'webhook'")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE booking.{table}")
