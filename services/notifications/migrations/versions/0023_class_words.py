"""A seat kept for who asked for help; a class that was moved; who teaches; and which classes fit, where nobody came."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0023", "0022", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off', 'application_visit', "
    "'application_refused', 'case_switched', 'turn_near', 'help_open', 'help_unmet', 'class_entered', "
    "'class_waiting', 'class_offered', 'class_lost', 'class_called_off', 'class_reminder', 'helper_offer', "
    "'helper_cover', 'helper_cancelled', 'helper_changed', 'helper_reminder', 'helper_message', 'sign_in'"
)
NEW_KINDS = "'class_proposed', 'class_changed', 'helper_placed'"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.application ADD COLUMN classes jsonb NOT NULL DEFAULT '[]'")
    _set_kinds(f"{KINDS}, {NEW_KINDS}")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM {SCHEMA}.{table} t USING {SCHEMA}.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind IN ({NEW_KINDS})"
        )
    op.execute(f"DELETE FROM {SCHEMA}.notice WHERE kind IN ({NEW_KINDS})")
    _set_kinds(KINDS)
    op.execute(f"ALTER TABLE {SCHEMA}.application DROP COLUMN classes")


def _set_kinds(kinds: str) -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({kinds}))")
