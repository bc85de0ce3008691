"""The town says itself which procedures come first on its front page."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    # A constant default: no rewrite of the table, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.catalogue ADD COLUMN frequent text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.catalogue DROP COLUMN frequent")
