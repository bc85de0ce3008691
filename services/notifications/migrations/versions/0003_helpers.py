"""What became of the helper of an appointment, and the notice that one was found."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None

KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn'"
)


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.appointment ADD COLUMN helper text NOT NULL DEFAULT 'none'")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"""ALTER TABLE notifications.notice
        ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}, 'helper_found'))""")


def downgrade() -> None:
    op.execute(
        "DELETE FROM notifications.staff_task t USING notifications.notice n "
        "WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind = 'helper_found'"
    )
    op.execute(
        "DELETE FROM notifications.attempt a USING notifications.notice n "
        "WHERE (a.municipality, a.notice_id) = (n.municipality, n.notice_id) AND n.kind = 'helper_found'"
    )
    op.execute("DELETE FROM notifications.notice WHERE kind = 'helper_found'")
    op.execute("ALTER TABLE notifications.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE notifications.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
    op.execute("ALTER TABLE notifications.appointment DROP COLUMN helper")
