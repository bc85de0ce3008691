"""One visit for everything: its appointments belong together, and one notice tells of several."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0013", "0012", None, None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.appointment ADD COLUMN chain_id uuid")
    op.execute("""
        CREATE INDEX appointment_chain_idx ON notifications.appointment (municipality, chain_id)
        WHERE chain_id IS NOT NULL
    """)
    op.execute("""
        ALTER TABLE notifications.notice
            ADD COLUMN together integer NOT NULL DEFAULT 1 CONSTRAINT notice_together_check CHECK (together >= 1),
            ADD COLUMN together_until timestamptz
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.notice DROP COLUMN together, DROP COLUMN together_until")
    op.execute("ALTER TABLE notifications.appointment DROP COLUMN chain_id")
