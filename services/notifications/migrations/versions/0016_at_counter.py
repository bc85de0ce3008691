"""Whether a time at a counter can be booked for a procedure: who is asked to come is told so, or to come or call."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0016", "0015", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.catalogue_procedure ADD COLUMN at_counter boolean NOT NULL DEFAULT true")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.catalogue_procedure DROP COLUMN at_counter")
