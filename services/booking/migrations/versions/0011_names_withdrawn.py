"""Names that are not to be called out any more, for passes that are on their way; and appointments by their case."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0011", "0010", None, None


def upgrade() -> None:
    op.execute("""CREATE TABLE booking.name_withdrawn (
        municipality text NOT NULL, case_id uuid NOT NULL, item text NOT NULL, withdrawn_at timestamptz NOT NULL,
        CONSTRAINT name_withdrawn_pkey PRIMARY KEY (municipality, case_id, item))""")
    for statement in row_level_security("booking", "name_withdrawn"):
        op.execute(statement)
    op.execute("CREATE INDEX appointment_case_idx ON booking.appointment (municipality, case_id)")


def downgrade() -> None:
    op.execute("DROP INDEX booking.appointment_case_idx")
    op.execute("DROP TABLE booking.name_withdrawn")
