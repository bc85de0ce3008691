"""The audit has the same shape in every service: which version of something a deed made, and an order by time."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0005", "0004", None, None

INDEX = "audit_municipality_occurred_at_idx"


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.audit ADD COLUMN ref_version bigint")
    op.execute(f"CREATE INDEX {INDEX} ON notifications.audit (municipality, occurred_at)")


def downgrade() -> None:
    op.execute(f"DROP INDEX notifications.{INDEX}")
    op.execute("ALTER TABLE notifications.audit DROP COLUMN ref_version")
