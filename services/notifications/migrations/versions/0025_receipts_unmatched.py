"""Receipts that come before the message's id is known here, the way from that id to its attempt, and who left LINE."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0025", "0024", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.receipt_unmatched (
        municipality text NOT NULL, provider text NOT NULL, provider_ref text NOT NULL, status text NOT NULL,
        received_at timestamptz NOT NULL,
        CONSTRAINT receipt_unmatched_pkey PRIMARY KEY (municipality, provider, provider_ref, status),
        CONSTRAINT receipt_unmatched_status_check CHECK (status IN ('accepted', 'delivered', 'failed')))""")
    op.execute(f"""CREATE TABLE {SCHEMA}.line_follow (
        municipality text NOT NULL, user_hash bytea NOT NULL, follows boolean NOT NULL, told_at timestamptz NOT NULL,
        CONSTRAINT line_follow_pkey PRIMARY KEY (municipality, user_hash),
        CONSTRAINT line_follow_user_hash_check CHECK (octet_length(user_hash) = 32))""")
    for table in ("receipt_unmatched", "line_follow"):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    op.execute(f"""CREATE INDEX attempt_ref_idx ON {SCHEMA}.attempt (municipality, provider, provider_ref)
        WHERE provider_ref IS NOT NULL""")
    op.execute(f"ALTER TABLE {SCHEMA}.attempt ADD COLUMN tag text")
    op.execute(f"CREATE INDEX attempt_tag_idx ON {SCHEMA}.attempt (municipality, tag) WHERE tag IS NOT NULL")


def downgrade() -> None:
    op.execute(f"DELETE FROM {SCHEMA}.due WHERE kind IN ('match_receipts', 'forget_follow')")
    op.execute(f"ALTER TABLE {SCHEMA}.attempt DROP COLUMN tag")
    op.execute(f"DROP INDEX {SCHEMA}.attempt_ref_idx")
    op.execute(f"DROP TABLE {SCHEMA}.line_follow")
    op.execute(f"DROP TABLE {SCHEMA}.receipt_unmatched")
