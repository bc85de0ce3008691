"""Two lanes: what somebody waits for never waits behind what nobody does."""

from alembic import op

from shared.messaging.tables import one_lane, two_lanes

revision, down_revision, branch_labels, depends_on = "0009", "0008", None, None


def upgrade() -> None:
    for statement in two_lanes("booking"):
        op.execute(statement)


def downgrade() -> None:
    for statement in one_lane("booking"):
        op.execute(statement)
