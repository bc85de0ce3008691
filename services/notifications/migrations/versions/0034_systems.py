"""Other systems of the town: who may ask for notices, how many, and what each is told of them."""

from alembic import op

from shared.db import row_level_security
from shared.practice import PATTERN

revision, down_revision, branch_labels, depends_on = "0034", "0033", None, None

TABLES = ("api_system", "api_key", "api_notice", "api_use", "webhook_endpoint", "webhook_delivery")

SYSTEMS = f"""
CREATE TABLE notifications.api_system (
    municipality text NOT NULL, system_id uuid NOT NULL, name_ja text NOT NULL, recipients text[] NOT NULL,
    kinds text[] NOT NULL, per_minute integer NOT NULL, per_day integer NOT NULL, sms_parts_per_day integer NOT NULL,
    state text NOT NULL, registered_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
    CONSTRAINT api_system_pkey PRIMARY KEY (municipality, system_id),
    CONSTRAINT api_system_state_check CHECK (state IN ('active', 'paused')),
    CONSTRAINT api_system_recipients_check
        CHECK (cardinality(recipients) > 0 AND recipients <@ ARRAY['number', 'email', 'phone']),
    CONSTRAINT api_system_kinds_check
        CHECK (cardinality(kinds) > 0 AND kinds <@ ARRAY['town_news', 'town_notice']),
    CONSTRAINT api_system_limits_check CHECK (per_minute > 0 AND per_day > 0 AND sms_parts_per_day >= 0),
    CONSTRAINT api_system_practice_check CHECK (municipality !~ '{PATTERN}'));
CREATE TABLE notifications.api_key (
    municipality text NOT NULL, key_id text NOT NULL, system_id uuid NOT NULL, place integer NOT NULL,
    secret_hash bytea NOT NULL, made_at timestamptz NOT NULL, last_used_at timestamptz, revoked_at timestamptz,
    CONSTRAINT api_key_pkey PRIMARY KEY (municipality, key_id),
    CONSTRAINT api_key_municipality_system_id_fkey FOREIGN KEY (municipality, system_id)
        REFERENCES notifications.api_system (municipality, system_id) ON DELETE CASCADE,
    CONSTRAINT api_key_place_check CHECK (place IN (1, 2)),
    CONSTRAINT api_key_secret_hash_check CHECK (octet_length(secret_hash) = 32));
CREATE UNIQUE INDEX api_key_live_idx ON notifications.api_key (municipality, system_id, place)
    WHERE revoked_at IS NULL;
CREATE TABLE notifications.api_use (
    municipality text NOT NULL, system_id uuid NOT NULL, span text NOT NULL, starts_at timestamptz NOT NULL,
    notices integer NOT NULL, sms_parts integer NOT NULL,
    CONSTRAINT api_use_pkey PRIMARY KEY (municipality, system_id, span, starts_at),
    CONSTRAINT api_use_municipality_system_id_fkey FOREIGN KEY (municipality, system_id)
        REFERENCES notifications.api_system (municipality, system_id) ON DELETE CASCADE,
    CONSTRAINT api_use_span_check CHECK (span IN ('minute', 'day')));
CREATE TABLE notifications.api_notice (
    municipality text NOT NULL, told_id uuid NOT NULL, system_id uuid NOT NULL, seq bigint NOT NULL,
    idempotency_key text, request_hash bytea, reference text, sms_parts integer NOT NULL,
    accepted_at timestamptz NOT NULL, told_state text NOT NULL DEFAULT 'waiting', version integer NOT NULL DEFAULT 0,
    CONSTRAINT api_notice_pkey PRIMARY KEY (municipality, told_id),
    CONSTRAINT api_notice_municipality_told_id_fkey FOREIGN KEY (municipality, told_id)
        REFERENCES notifications.told (municipality, told_id) ON DELETE CASCADE,
    CONSTRAINT api_notice_municipality_system_id_fkey FOREIGN KEY (municipality, system_id)
        REFERENCES notifications.api_system (municipality, system_id) ON DELETE CASCADE,
    CONSTRAINT api_notice_municipality_system_id_idempotency_key_key
        UNIQUE (municipality, system_id, idempotency_key),
    CONSTRAINT api_notice_municipality_system_id_seq_key UNIQUE (municipality, system_id, seq),
    CONSTRAINT api_notice_key_check CHECK ((idempotency_key IS NULL) = (request_hash IS NULL)),
    CONSTRAINT api_notice_sms_parts_check CHECK (sms_parts >= 0));
CREATE INDEX api_notice_accepted_idx ON notifications.api_notice (municipality, accepted_at);
CREATE SEQUENCE notifications.api_notice_seq;
CREATE TABLE notifications.webhook_endpoint (
    municipality text NOT NULL, endpoint_id uuid NOT NULL, name_ja text NOT NULL, url text NOT NULL,
    kinds text[] NOT NULL, state text NOT NULL, wrapped_key bytea, secret_sealed bytea NOT NULL,
    old_secret_sealed bytea, old_secret_until timestamptz, failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz, registered_at timestamptz NOT NULL, changed_at timestamptz NOT NULL,
    CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (municipality, endpoint_id),
    CONSTRAINT webhook_endpoint_state_check CHECK (state IN ('active', 'paused', 'stopped')),
    CONSTRAINT webhook_endpoint_kinds_check CHECK (cardinality(kinds) > 0),
    CONSTRAINT webhook_endpoint_old_secret_check CHECK ((old_secret_sealed IS NULL) = (old_secret_until IS NULL)),
    CONSTRAINT webhook_endpoint_failing_check CHECK ((failures = 0) = (failing_since IS NULL)),
    CONSTRAINT webhook_endpoint_practice_check CHECK (municipality !~ '{PATTERN}'));
CREATE TABLE notifications.webhook_delivery (
    municipality text NOT NULL, delivery_id uuid NOT NULL, endpoint_id uuid NOT NULL, kind text NOT NULL,
    about text NOT NULL, version integer NOT NULL, facts jsonb NOT NULL, told_at timestamptz NOT NULL,
    state text NOT NULL, tries integer NOT NULL DEFAULT 0, next_try_at timestamptz NOT NULL,
    failing_since timestamptz, answer text, answered_at timestamptz,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (municipality, delivery_id),
    CONSTRAINT webhook_delivery_state_check CHECK (state IN ('waiting', 'taken', 'given_up')));
CREATE INDEX webhook_delivery_waiting_idx ON notifications.webhook_delivery (municipality, endpoint_id, next_try_at)
    WHERE state = 'waiting';
CREATE INDEX webhook_delivery_municipality_told_at_idx ON notifications.webhook_delivery (municipality, told_at);
"""
# Whatever accepts a notice: it is counted, in the minute and in Japan's day, and there is none beyond what the system
# may ask for. Those of one system follow one another from here to their commit, so that their places (`seq`) are in the
# order in which they can be read: nobody who asks "what came since" misses one.
COUNT = """
CREATE FUNCTION notifications.count_api_notice() RETURNS trigger LANGUAGE plpgsql
    SET search_path = notifications, pg_catalog AS $$
DECLARE
    system api_system;
    used api_use;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('api_system/' || NEW.municipality || '/' || NEW.system_id, 0));
    SELECT * INTO STRICT system FROM api_system s
    WHERE (s.municipality, s.system_id) = (NEW.municipality, NEW.system_id);
    IF system.state <> 'active' THEN
        RAISE EXCEPTION 'api_limit paused' USING ERRCODE = 'check_violation';
    END IF;
    FOR used IN
        INSERT INTO api_use AS u (municipality, system_id, span, starts_at, notices, sms_parts)
        VALUES (NEW.municipality, NEW.system_id, 'minute', date_trunc('minute', NEW.accepted_at), 1, NEW.sms_parts),
               (NEW.municipality, NEW.system_id, 'day',
                date_trunc('day', NEW.accepted_at AT TIME ZONE 'Asia/Tokyo') AT TIME ZONE 'Asia/Tokyo',
                1, NEW.sms_parts)
        ON CONFLICT (municipality, system_id, span, starts_at) DO UPDATE
        SET notices = u.notices + 1, sms_parts = u.sms_parts + excluded.sms_parts
        RETURNING *
    LOOP
        IF used.span = 'minute' AND used.notices > system.per_minute THEN
            RAISE EXCEPTION 'api_limit minute' USING ERRCODE = 'check_violation';
        ELSIF used.span = 'day' AND used.notices > system.per_day THEN
            RAISE EXCEPTION 'api_limit day' USING ERRCODE = 'check_violation';
        ELSIF used.span = 'day' AND used.sms_parts > system.sms_parts_per_day AND NEW.sms_parts > 0 THEN
            RAISE EXCEPTION 'api_limit sms_parts' USING ERRCODE = 'check_violation';
        END IF;
    END LOOP;
    NEW.seq := nextval('api_notice_seq');
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER count_api_notice BEFORE INSERT ON notifications.api_notice FOR EACH ROW
EXECUTE FUNCTION notifications.count_api_notice()
"""


def upgrade() -> None:
    for statement in SYSTEMS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        for statement in row_level_security("notifications", table):
            op.execute(statement)
    op.execute(COUNT)
    op.execute(TRIGGER)


def downgrade() -> None:
    op.execute("DELETE FROM notifications.due WHERE kind IN ('webhook', 'tidy_systems')")
    for table in reversed(TABLES):
        if table not in ("api_system", "api_key"):
            op.execute(f"DROP TABLE notifications.{table}")
    op.execute("DROP FUNCTION notifications.count_api_notice()")
    op.execute("DROP SEQUENCE notifications.api_notice_seq")
    op.execute("DROP TABLE notifications.api_key")
    op.execute("DROP TABLE notifications.api_system")
