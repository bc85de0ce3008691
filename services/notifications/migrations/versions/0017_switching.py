"""Notices of cases whose channel somebody else chose for the person."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0017", "0016", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off', 'application_visit', "
    "'application_refused'"
)
NEW_KIND = "'case_switched'"


def upgrade() -> None:
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
