"""What staff did is an `action` in every service's audit."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE booking.audit RENAME COLUMN command TO action")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.audit RENAME COLUMN action TO command")
