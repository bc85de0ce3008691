"""How long an appointment takes in which more is done than its procedure."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0014", "0013", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.appointment ADD COLUMN minutes integer")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.appointment DROP COLUMN minutes")
