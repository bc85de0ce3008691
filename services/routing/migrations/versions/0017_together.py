"""A case may be for several procedures of a plan, which are booked for one visit."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0017", "0016", None, None


def upgrade() -> None:
    # A constant default: no rewrite of the table, and the processes of the version before go on writing.
    op.execute("""ALTER TABLE routing.case_file ADD COLUMN together text[] NOT NULL DEFAULT '{}'
        CONSTRAINT case_file_together_check CHECK (cardinality(together) <= 9)""")
    op.execute("ALTER TABLE routing.case_file ADD COLUMN plan_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.case_file DROP COLUMN plan_id")
    op.execute("ALTER TABLE routing.case_file DROP COLUMN together")
