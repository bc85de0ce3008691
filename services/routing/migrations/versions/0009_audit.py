"""The audit has the same shape in every service: which version of something a deed made, where it has versions."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0009", "0008", None, None

OLD, NEW = "audit_occurred_at_idx", "audit_municipality_occurred_at_idx"


def upgrade() -> None:
    op.execute("ALTER TABLE routing.audit ADD COLUMN ref_version bigint")
    op.execute(f"ALTER INDEX routing.{OLD} RENAME TO {NEW}")


def downgrade() -> None:
    op.execute(f"ALTER INDEX routing.{NEW} RENAME TO {OLD}")
    op.execute("ALTER TABLE routing.audit DROP COLUMN ref_version")
