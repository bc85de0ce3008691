"""Nobody is told of what happens in a practice town."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0034", "0035", None, None


def upgrade() -> None:
    op.execute("""ALTER TABLE booking.webhook_endpoint ADD CONSTRAINT webhook_endpoint_practice_check
        CHECK (municipality !~ '^.+-r[0-9]+$')""")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.webhook_endpoint DROP CONSTRAINT webhook_endpoint_practice_check")
