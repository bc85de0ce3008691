"""Notices of whose turn at a counter is near: how many are before them, and the number in their hand."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0019", "0018", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off', 'application_visit', "
    "'application_refused', 'case_switched'"
)
NEW_KIND = "'turn_near'"


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.notice ADD COLUMN turn_before integer, ADD COLUMN turn_ticket text")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"""ALTER TABLE notifications.notice
        ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}, {NEW_KIND}))""")


def downgrade() -> None:
    op.execute(
        "DELETE FROM notifications.attempt t USING notifications.notice n "
        f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind = {NEW_KIND}"
    )
    op.execute(f"DELETE FROM notifications.notice WHERE kind = {NEW_KIND}")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE notifications.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
    op.execute("ALTER TABLE notifications.notice DROP COLUMN turn_before, DROP COLUMN turn_ticket")
