"""Two lanes: what somebody waits for never waits behind what nobody does."""

from alembic import op

from shared.messaging.tables import one_lane, two_lanes

revision, down_revision, branch_labels, depends_on = "0011", "0010", None, None


def upgrade() -> None:
    for statement in two_lanes("routing"):
        op.execute(statement)


def downgrade() -> None:
    for statement in one_lane("routing"):
        op.execute(statement)
