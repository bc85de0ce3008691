"""A request of which plans could not be carried out is planned for again later and later."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0046", "0045", None, None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE booking.help_request
            ADD COLUMN plans_dropped integer NOT NULL DEFAULT 0,
            ADD COLUMN plan_again_at timestamptz""")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.help_request DROP COLUMN plan_again_at, DROP COLUMN plans_dropped")
