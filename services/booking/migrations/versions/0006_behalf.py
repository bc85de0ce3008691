"""A visit that staff make on somebody's behalf says how that person came: by phone, or at the desk."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Empty for residents' own, and for what staff began before.
    op.execute("""ALTER TABLE booking.visit ADD COLUMN behalf text
        CONSTRAINT visit_behalf_check CHECK (behalf IN ('phone', 'desk'))""")


def downgrade() -> None:
    op.execute("ALTER TABLE booking.visit DROP COLUMN behalf")
