"""Whose address is another one now is told so at the address before."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0029", "0028", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off', 'application_visit', "
    "'application_refused', 'case_switched', 'turn_near', 'help_open', 'help_unmet', 'class_entered', "
    "'class_waiting', 'class_offered', 'class_lost', 'class_called_off', 'class_reminder', 'helper_offer', "
    "'helper_cover', 'helper_cancelled', 'helper_changed', 'helper_reminder', 'helper_message', 'sign_in', "
    "'class_proposed', 'class_changed', 'helper_placed', 'contact_code', 'contact_dead'"
)
NEW_KIND = "contact_changed"


def upgrade() -> None:
    op.execute(f"""ALTER TABLE {SCHEMA}.told
        ADD COLUMN reach text, ADD COLUMN language text,
        ADD CONSTRAINT told_reach_check CHECK (reach IN ('email', 'sms')),
        ADD CONSTRAINT told_former_check CHECK ((reach IS NULL) = (language IS NULL))""")
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}, '{NEW_KIND}'))")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM {SCHEMA}.{table} t USING {SCHEMA}.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind = '{NEW_KIND}'"
        )
    op.execute(f"DELETE FROM {SCHEMA}.notice WHERE kind = '{NEW_KIND}'")
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN ({KINDS}))")
    op.execute(f"ALTER TABLE {SCHEMA}.told DROP COLUMN reach, DROP COLUMN language")
