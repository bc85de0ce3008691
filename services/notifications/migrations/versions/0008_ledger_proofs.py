"""The ledger can be proved: entries that hide who acted, its Merkle tree, and its checkpoints."""

from alembic import op

from shared.ledger.tables import ledger_proofs, ledger_proofs_undone
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0008", "0007", None, None


def upgrade() -> None:
    role = application_role(op.get_bind(), "notifications")
    for statement in ledger_proofs("notifications", role):
        op.execute(statement)


def downgrade() -> None:
    for statement in ledger_proofs_undone("notifications"):
        op.execute(statement)
