"""A way's number is never given twice, however old the notices are that went by it; and LINE is linked by a code."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0035", "0034", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point ADD COLUMN last_way_no integer NOT NULL DEFAULT 1")
    op.execute(f"""UPDATE {SCHEMA}.contact_point c SET last_way_no = given.way_no FROM (
            SELECT municipality, contact_ref, max(way_no) AS way_no FROM (
                SELECT municipality, contact_ref, way_no FROM {SCHEMA}.contact_way
                UNION ALL SELECT municipality, contact_ref, way_no FROM {SCHEMA}.way_code
                UNION ALL SELECT n.municipality, n.contact_ref, a.way_no FROM {SCHEMA}.attempt a
                    JOIN {SCHEMA}.notice n USING (municipality, notice_id)
                    WHERE a.way_no > 1 AND n.contact_ref IS NOT NULL) AS used
            GROUP BY municipality, contact_ref) AS given
        WHERE (c.municipality, c.contact_ref) = (given.municipality, given.contact_ref) AND given.way_no > 1""")
    op.execute(f"""ALTER TABLE {SCHEMA}.contact_way ADD COLUMN line_hash bytea,
        ADD CONSTRAINT contact_way_line_hash_check CHECK (line_hash IS NULL OR kind = 'line')""")
    op.execute(f"""CREATE UNIQUE INDEX contact_way_line_idx
        ON {SCHEMA}.contact_way (municipality, line_hash, contact_ref) WHERE line_hash IS NOT NULL""")
    op.execute(f"""CREATE TABLE {SCHEMA}.line_code (
        municipality text NOT NULL, code_id uuid NOT NULL, contact_ref uuid NOT NULL, code_hash bytea NOT NULL,
        asked_at timestamptz NOT NULL, expires_at timestamptz NOT NULL, ended_at timestamptz, sent_by bytea,
        CONSTRAINT line_code_pkey PRIMARY KEY (municipality, code_id),
        CONSTRAINT line_code_municipality_contact_ref_fkey FOREIGN KEY (municipality, contact_ref)
            REFERENCES {SCHEMA}.contact_point (municipality, contact_ref) ON DELETE CASCADE,
        CONSTRAINT line_code_sent_by_check CHECK (sent_by IS NULL OR ended_at IS NOT NULL))""")
    op.execute(f"""CREATE UNIQUE INDEX line_code_live_idx ON {SCHEMA}.line_code (municipality, contact_ref)
        WHERE ended_at IS NULL""")
    op.execute(f"CREATE UNIQUE INDEX line_code_hash_idx ON {SCHEMA}.line_code (municipality, code_hash)")
    op.execute(f"""CREATE TABLE {SCHEMA}.line_try (
        municipality text NOT NULL, try_id uuid NOT NULL, user_hash bytea NOT NULL, tried_at timestamptz NOT NULL,
        CONSTRAINT line_try_pkey PRIMARY KEY (municipality, try_id))""")
    op.execute(f"CREATE INDEX line_try_user_idx ON {SCHEMA}.line_try (municipality, user_hash, tried_at)")
    for table in ("line_code", "line_try"):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)


def downgrade() -> None:
    op.execute(f"DROP TABLE {SCHEMA}.line_try")
    op.execute(f"DROP TABLE {SCHEMA}.line_code")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_way DROP COLUMN line_hash")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point DROP COLUMN last_way_no")
