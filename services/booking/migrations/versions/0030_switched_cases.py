"""By which channel a case went on, for passes from before that are on their way."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0030", "0029", None, None


def upgrade() -> None:
    op.execute("""CREATE TABLE booking.case_switched (
        municipality text NOT NULL, case_id uuid NOT NULL, channel text NOT NULL, switched_at timestamptz NOT NULL,
        CONSTRAINT case_switched_pkey PRIMARY KEY (municipality, case_id))""")
    for statement in row_level_security("booking", "case_switched"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE booking.case_switched")
