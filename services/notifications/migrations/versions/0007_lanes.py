"""Two lanes: what somebody waits for never waits behind what nobody does."""

from alembic import op

from shared.messaging.tables import one_lane, two_lanes

revision, down_revision, branch_labels, depends_on = "0007", "0006", None, None


def upgrade() -> None:
    for statement in two_lanes("notifications"):
        op.execute(statement)
    op.execute("ALTER TABLE notifications.notice ADD COLUMN bulk boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("UPDATE notifications.due SET kind = 'send' WHERE kind = 'send_bulk'")
    op.execute("ALTER TABLE notifications.notice DROP COLUMN bulk")
    for statement in one_lane("notifications"):
        op.execute(statement)
