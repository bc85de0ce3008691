"""The ledger can be proved: entries that hide who acted, its Merkle tree, and its checkpoints."""

from alembic import op

from shared.db import row_level_security
from shared.ledger.tables import ledger_proofs, ledger_proofs_undone
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0012", "0011", None, None


def upgrade() -> None:
    role = application_role(op.get_bind(), "routing")
    for statement in ledger_proofs("routing", role):
        op.execute(statement)
    for statement in (
        "ALTER TABLE routing.reuse ADD COLUMN canonical text",
        """CREATE TABLE routing.checkpoint (
            municipality text NOT NULL, service text NOT NULL, day date NOT NULL, tree_size bigint NOT NULL,
            root text NOT NULL, made_at timestamptz NOT NULL,
            CONSTRAINT checkpoint_pkey PRIMARY KEY (municipality, service, day))""",
        *row_level_security("routing", "checkpoint"),
        # What was published stays published.
        f"REVOKE UPDATE, DELETE, TRUNCATE ON routing.checkpoint FROM {role}",
    ):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE routing.checkpoint")
    op.execute("ALTER TABLE routing.reuse DROP COLUMN canonical")
    for statement in ledger_proofs_undone("routing"):
        op.execute(statement)
