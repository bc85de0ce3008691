"""Items that a person wants no other procedure to ask for."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0015", "0014", None, None


def upgrade() -> None:
    op.execute("""CREATE TABLE routing.reuse_stop (
        municipality text NOT NULL, subject_ref uuid NOT NULL, key text NOT NULL, stopped_at timestamptz NOT NULL,
        ended_at timestamptz,
        CONSTRAINT reuse_stop_pkey PRIMARY KEY (municipality, subject_ref, key, stopped_at))""")
    op.execute(
        "CREATE UNIQUE INDEX reuse_stop_standing_key ON routing.reuse_stop (municipality, subject_ref, key)"
        " WHERE ended_at IS NULL"
    )
    for statement in row_level_security("routing", "reuse_stop"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE routing.reuse_stop")
