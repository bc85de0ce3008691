"""What is sent in a practice town leaves by no provider."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0020", "0019", None, None


def upgrade() -> None:
    op.execute("""ALTER TABLE notifications.attempt ADD CONSTRAINT attempt_practice_check
        CHECK ((municipality ~ '^.+-r[0-9]+$') = (provider = 'simulated'))""")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.attempt DROP CONSTRAINT attempt_practice_check")
