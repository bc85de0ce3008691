"""What the town writes itself, or another system of it: to contacts, and to addresses that nobody here has."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0030", "0029", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'helper_found', 'closure', 'reopened', "
    "'earlier_offer', 'application_received', 'application_accepted', 'application_correction', "
    "'application_visit', 'application_completed', 'application_refused', 'application_withdrawn', "
    "'draw_won', 'draw_lost', 'draw_called_off', 'case_switched', 'turn_near', 'help_open', 'help_unmet', "
    "'class_entered', 'class_waiting', 'class_offered', 'class_lost', 'class_called_off', "
    "'class_reminder', 'class_proposed', 'class_changed', 'helper_offer', 'helper_cover', "
    "'helper_cancelled', 'helper_changed', 'helper_reminder', 'helper_message', 'helper_placed', "
    "'sign_in', 'contact_changed', 'contact_code', 'contact_dead'"
)
NEW_KINDS = "'town_news', 'town_notice'"
STOPS = "'reminder', 'earlier_offer', 'turn_near', 'feedback'"
NEW_STOP = "'town_news'"
ONE_OF_TWO = "num_nonnulls(account_ref, contact_ref) = 1"
OF_ADDRESS = (
    "num_nonnulls(account_ref, contact_ref) = CASE WHEN account_ref IS NULL AND reach IS NOT NULL THEN 0 ELSE 1 END"
)


def upgrade() -> None:
    for table in ("notice", "template_version"):
        _check(table, "kind", f"kind IN ({KINDS}, {NEW_KINDS})")
    _check("contact_point", "stopped", f"stopped <@ ARRAY[{STOPS}, {NEW_STOP}]")
    _check("told", "whom", OF_ADDRESS)
    _check("notice", "whom", f"told_id IS NULL OR {ONE_OF_TWO} OR kind IN ({NEW_KINDS})")


def downgrade() -> None:
    of_town = f"SELECT municipality, notice_id FROM {SCHEMA}.notice WHERE kind IN ({NEW_KINDS})"
    for table in ("staff_task", "attempt", "notice"):
        op.execute(f"DELETE FROM {SCHEMA}.{table} WHERE (municipality, notice_id) IN ({of_town})")
    op.execute(f"DELETE FROM {SCHEMA}.told WHERE num_nonnulls(account_ref, contact_ref) = 0")
    op.execute(f"DELETE FROM {SCHEMA}.template_version WHERE kind IN ({NEW_KINDS})")
    op.execute(f"UPDATE {SCHEMA}.contact_point SET stopped = array_remove(stopped, {NEW_STOP})")
    for table in ("notice", "template_version"):
        _check(table, "kind", f"kind IN ({KINDS})")
    _check("contact_point", "stopped", f"stopped <@ ARRAY[{STOPS}]")
    _check("told", "whom", ONE_OF_TWO)
    _check("notice", "whom", f"told_id IS NULL OR {ONE_OF_TWO}")


def _check(table: str, name: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.{table} DROP CONSTRAINT {table}_{name}_check")
    op.execute(f"ALTER TABLE {SCHEMA}.{table} ADD CONSTRAINT {table}_{name}_check CHECK ({condition})")
