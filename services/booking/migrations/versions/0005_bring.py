"""What to bring and what it costs, and where the town hall is; and an index that finds the visits of a case."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    op.execute("ALTER TABLE booking.procedure ADD COLUMN bring text[] NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE booking.procedure ADD COLUMN fee_yen integer NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE booking.town_facts ADD COLUMN address_ja text NOT NULL DEFAULT ''")
    op.execute("CREATE INDEX visit_case_idx ON booking.visit (municipality, case_id)")


def downgrade() -> None:
    op.execute("DROP INDEX booking.visit_case_idx")
    op.execute("ALTER TABLE booking.town_facts DROP COLUMN address_ja")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN fee_yen")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN bring")
