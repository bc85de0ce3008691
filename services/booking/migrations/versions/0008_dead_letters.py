"""Dead letters are replayed or discarded; what is old is found by an index."""

from alembic import op

from shared.messaging.tables import dead_letters_v1, dead_letters_v1_undone

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in dead_letters_v1("booking"):
        op.execute(statement)


def downgrade() -> None:
    for statement in dead_letters_v1_undone("booking"):
        op.execute(statement)
