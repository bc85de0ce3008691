"""What a closing does to an appointment, the place that is kept instead, and the notices of both."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0010", "0009", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found'"
)
NEW_KINDS = "'closure', 'reopened'"


def upgrade() -> None:
    op.execute("""ALTER TABLE notifications.appointment ADD COLUMN closure text NOT NULL DEFAULT 'none',
        ADD COLUMN offer_starts_at timestamptz, ADD COLUMN offer_until timestamptz""")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"""ALTER TABLE notifications.notice
        ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}, {NEW_KINDS}))""")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM notifications.{table} t USING notifications.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind IN ({NEW_KINDS})"
        )
    op.execute(f"DELETE FROM notifications.notice WHERE kind IN ({NEW_KINDS})")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE notifications.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
    op.execute("""ALTER TABLE notifications.appointment
        DROP COLUMN closure, DROP COLUMN offer_starts_at, DROP COLUMN offer_until""")
