"""What a helper is told is about an appointment, or an asking of several: a later word overtakes what waits."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0022", "0021", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.told RENAME COLUMN assignment_id TO about")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.told RENAME COLUMN about TO assignment_id")
