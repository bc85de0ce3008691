"""How long the way from the town's districts takes, and a postal code for the example where one is typed."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0034", "0033", None, None


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.counter ADD COLUMN travels jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE routing.catalogue ADD COLUMN postal_example text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.catalogue DROP COLUMN postal_example")
    op.execute("ALTER TABLE routing.counter DROP COLUMN travels")
