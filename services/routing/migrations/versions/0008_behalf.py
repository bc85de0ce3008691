"""Cases that staff begin on somebody's behalf say how that person came: by phone, or at the desk."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0008", "0007", None, None


def upgrade() -> None:
    # Empty for residents' own, and for what staff began before.
    op.execute("""ALTER TABLE routing.case_file ADD COLUMN behalf text
        CONSTRAINT case_file_behalf_check CHECK (behalf IN ('phone', 'desk'))""")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.case_file DROP COLUMN behalf")
