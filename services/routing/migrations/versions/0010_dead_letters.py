"""Dead letters are replayed or discarded; what is old is found by an index."""

from alembic import op

from shared.messaging.tables import dead_letters_v1, dead_letters_v1_undone

revision, down_revision, branch_labels, depends_on = "0010", "0009", None, None


def upgrade() -> None:
    for statement in dead_letters_v1("routing"):
        op.execute(statement)


def downgrade() -> None:
    for statement in dead_letters_v1_undone("routing"):
        op.execute(statement)
