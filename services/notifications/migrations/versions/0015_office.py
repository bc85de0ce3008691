"""Notices of applications: the office asks somebody to come, or refuses."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0015", "0014", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off'"
)
NEW_KINDS = "'application_visit', 'application_refused'"


def upgrade() -> None:
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
