"""Life events, and what a visitor has to do because of one."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0006", "0005", None, None

SCHEMA = "routing"
TABLES = ("life_event", "plan")


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.life_event (
        municipality text NOT NULL, code text NOT NULL, position integer NOT NULL, name jsonb NOT NULL,
        intro jsonb NOT NULL, questions jsonb NOT NULL, steps jsonb NOT NULL,
        CONSTRAINT life_event_pkey PRIMARY KEY (municipality, code))""")
    op.execute(f"""CREATE TABLE {SCHEMA}.plan (
        municipality text NOT NULL, plan_id uuid NOT NULL, event text NOT NULL, guest_ref text NOT NULL,
        procedures text[] NOT NULL, idempotency_key uuid NOT NULL, created_at timestamptz NOT NULL,
        CONSTRAINT plan_pkey PRIMARY KEY (municipality, plan_id),
        CONSTRAINT plan_municipality_guest_ref_idempotency_key_key
            UNIQUE (municipality, guest_ref, idempotency_key))""")
    op.execute(f"CREATE INDEX plan_created_at_idx ON {SCHEMA}.plan (municipality, created_at)")
    for table in TABLES:
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {SCHEMA}.{table}")
