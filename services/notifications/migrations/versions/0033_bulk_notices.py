"""Bulk notices: what the town writes to many, whom it was told to, and what a message costs."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0033", "0032", None, None

SCHEMA = "notifications"
# What was sent stands as it was sent; what is over stays over.
GUARD = f"""
CREATE FUNCTION {SCHEMA}.guard_bulk_notice() RETURNS trigger LANGUAGE plpgsql
    SET search_path = {SCHEMA}, pg_catalog AS $$
BEGIN
    IF OLD.state <> 'draft' AND (NEW.kind, NEW.reason, NEW.audience, NEW.texts, NEW.until, NEW.version, NEW.sent_by,
            NEW.sent_at, NEW.starts_at, NEW.estimate) IS DISTINCT FROM (OLD.kind, OLD.reason, OLD.audience, OLD.texts,
            OLD.until, OLD.version, OLD.sent_by, OLD.sent_at, OLD.starts_at, OLD.estimate) THEN
        RAISE EXCEPTION 'this bulk notice was sent'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bulk_notice_guard_sent';
    END IF;
    IF (OLD.state <> 'draft' AND NEW.state = 'draft')
            OR (OLD.state IN ('done', 'stopped') AND NEW.state <> OLD.state) THEN
        RAISE EXCEPTION 'this bulk notice does not go back'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'bulk_notice_guard_state';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.bulk_notice (
        municipality text NOT NULL, bulk_id uuid NOT NULL, kind text NOT NULL, reason text, audience jsonb NOT NULL,
        texts jsonb NOT NULL, until timestamptz, state text NOT NULL, version integer NOT NULL,
        tested_version integer, tests integer NOT NULL DEFAULT 0, saved_by text NOT NULL, saved_at timestamptz NOT NULL,
        sent_by text, sent_at timestamptz, starts_at timestamptz, estimate jsonb, gathered_at timestamptz,
        spread_to bytea, spread_at timestamptz, stopped_by text, stopped_at timestamptz, counts jsonb,
        CONSTRAINT bulk_notice_pkey PRIMARY KEY (municipality, bulk_id),
        CONSTRAINT bulk_notice_kind_check CHECK (kind IN ('town_news', 'town_notice')),
        CONSTRAINT bulk_notice_why_check CHECK ((reason IS NOT NULL) = (kind = 'town_notice')),
        CONSTRAINT bulk_notice_reason_check CHECK (reason IN ('safety', 'own_affairs')),
        CONSTRAINT bulk_notice_state_check CHECK (state IN ('draft', 'sending', 'done', 'stopped')),
        CONSTRAINT bulk_notice_version_check CHECK (version >= 1),
        CONSTRAINT bulk_notice_tests_check CHECK (tests BETWEEN 0 AND 50),
        CONSTRAINT bulk_notice_sent_check CHECK (num_nonnulls(sent_by, sent_at, starts_at, estimate)
            = CASE WHEN state = 'draft' THEN 0 ELSE 4 END),
        CONSTRAINT bulk_notice_tested_check
            CHECK (state = 'draft' OR (tested_version = version AND tested_version IS NOT NULL AND until IS NOT NULL)),
        CONSTRAINT bulk_notice_stopped_check CHECK ((stopped_at IS NOT NULL) = (state = 'stopped')))""")
    op.execute(f"CREATE INDEX bulk_notice_saved_idx ON {SCHEMA}.bulk_notice (municipality, saved_at DESC)")
    op.execute(f"""CREATE TABLE {SCHEMA}.way_price (
        municipality text NOT NULL, way text NOT NULL, price_sen integer NOT NULL, set_by text NOT NULL,
        set_at timestamptz NOT NULL,
        CONSTRAINT way_price_pkey PRIMARY KEY (municipality, way),
        CONSTRAINT way_price_way_check CHECK (way IN ('sms', 'letter', 'line')),
        CONSTRAINT way_price_price_check CHECK (price_sen BETWEEN 0 AND 100000))""")
    for table in ("bulk_notice", "way_price"):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    op.execute(GUARD)
    op.execute(f"""CREATE TRIGGER guard_bulk_notice BEFORE UPDATE ON {SCHEMA}.bulk_notice
        FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.guard_bulk_notice()""")
    op.execute(f"""ALTER TABLE {SCHEMA}.told ADD COLUMN bulk_id uuid, ADD COLUMN person_hash bytea,
        ADD CONSTRAINT told_bulk_check CHECK (num_nonnulls(bulk_id, person_hash) IN (0, 2)),
        ADD CONSTRAINT told_bulk_contact_check CHECK (bulk_id IS NULL OR contact_ref IS NOT NULL),
        ADD CONSTRAINT told_municipality_bulk_id_fkey FOREIGN KEY (municipality, bulk_id)
            REFERENCES {SCHEMA}.bulk_notice (municipality, bulk_id)""")
    op.execute(f"""CREATE UNIQUE INDEX told_bulk_idx ON {SCHEMA}.told (municipality, bulk_id, person_hash)
        WHERE bulk_id IS NOT NULL""")
    op.execute(f"CREATE INDEX appointment_starts_idx ON {SCHEMA}.appointment (municipality, starts_at)")


def downgrade() -> None:
    # The version before does not know what was written: nothing of it can be sent any more, and it knows no such steps.
    op.execute(f"""DELETE FROM {SCHEMA}.due
        WHERE kind IN ('bulk_gather', 'bulk_spread', 'bulk_call_off', 'bulk_end', 'bulk_forget')""")
    of_bulk = f"""SELECT n.municipality, n.notice_id FROM {SCHEMA}.notice n JOIN {SCHEMA}.told t
        USING (municipality, told_id) WHERE t.bulk_id IS NOT NULL"""
    for table in ("staff_task", "attempt", "notice"):
        op.execute(f"DELETE FROM {SCHEMA}.{table} WHERE (municipality, notice_id) IN ({of_bulk})")
    op.execute(f"DELETE FROM {SCHEMA}.told WHERE bulk_id IS NOT NULL")
    op.execute(f"DROP INDEX {SCHEMA}.appointment_starts_idx")
    op.execute(f"ALTER TABLE {SCHEMA}.told DROP COLUMN bulk_id, DROP COLUMN person_hash")
    op.execute(f"DROP TABLE {SCHEMA}.way_price")
    op.execute(f"DROP TABLE {SCHEMA}.bulk_notice")
    op.execute(f"DROP FUNCTION {SCHEMA}.guard_bulk_notice()")
