"""The notice of an earlier time that is kept for somebody."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0011", "0010", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', 'reopened'"
)
NEW_KIND = "'earlier_offer'"


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"""ALTER TABLE notifications.notice
        ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}, {NEW_KIND}))""")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM notifications.{table} t USING notifications.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind = {NEW_KIND}"
        )
    op.execute(f"DELETE FROM notifications.notice WHERE kind = {NEW_KIND}")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE notifications.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
