"""What is done in an appointment beside its procedure."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0018", "0017", None, None


def upgrade() -> None:
    # A constant default: no rewrite of the table, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.appointment ADD COLUMN services text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.appointment DROP COLUMN services")
