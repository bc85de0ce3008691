"""Notices of draws: who won, who did not, and that one was called off."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0012", "0011", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer'"
)
NEW_KINDS = "'draw_won', 'draw_lost', 'draw_called_off'"


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
    # What the version before knows nothing of.
    op.execute("DELETE FROM notifications.application WHERE state IN ('lost', 'called_off', 'won')")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE notifications.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
