"""What is told to accounts, and of requests for helpers and of classes, beside appointments and applications."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0021", "0020", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'application_received', 'application_accepted', "
    "'application_correction', 'application_completed', 'application_withdrawn', 'helper_found', 'closure', "
    "'reopened', 'earlier_offer', 'draw_won', 'draw_lost', 'draw_called_off', 'application_visit', "
    "'application_refused', 'case_switched', 'turn_near'"
)
NEW_KINDS = (
    "'help_open', 'help_unmet', 'class_entered', 'class_waiting', 'class_offered', 'class_lost', 'class_called_off', "
    "'class_reminder', 'helper_offer', 'helper_cover', 'helper_cancelled', 'helper_changed', 'helper_reminder', "
    "'helper_message', 'sign_in'"
)
NEW_MATTER = "num_nonnulls(appointment_id, application_id, told_id) = 1"
OLD_MATTER = "(appointment_id IS NULL) <> (application_id IS NULL)"


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.account_contact (
        municipality text NOT NULL, account_ref text NOT NULL, version integer NOT NULL, reach text NOT NULL,
        address_sealed bytea, wrapped_key bytea, language text NOT NULL,
        CONSTRAINT account_contact_pkey PRIMARY KEY (municipality, account_ref),
        CONSTRAINT account_contact_reach_check CHECK (reach IN ('email', 'sms', 'none')),
        CONSTRAINT account_contact_address_check CHECK ((reach = 'none') = (address_sealed IS NULL)))""")
    op.execute(f"""CREATE TABLE {SCHEMA}.told (
        municipality text NOT NULL, told_id uuid NOT NULL, account_ref text NOT NULL, assignment_id uuid,
        occurred_at timestamptz NOT NULL, venue text NOT NULL DEFAULT '', starts_at timestamptz, ends_at timestamptz,
        until timestamptz, content_sealed bytea, wrapped_key bytea,
        CONSTRAINT told_pkey PRIMARY KEY (municipality, told_id))""")
    op.execute(f"""CREATE INDEX told_visit_idx ON {SCHEMA}.told (municipality, assignment_id, account_ref)
        WHERE assignment_id IS NOT NULL""")
    for table in ("account_contact", "told"):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    op.execute(f"""ALTER TABLE {SCHEMA}.application
        ALTER COLUMN subject_ref DROP NOT NULL, ALTER COLUMN case_id DROP NOT NULL,
        ADD COLUMN title text NOT NULL DEFAULT '', ADD COLUMN venue text NOT NULL DEFAULT '',
        ADD COLUMN starts_at timestamptz, ADD COLUMN ends_at timestamptz, ADD COLUMN until timestamptz""")
    for table in ("notice", "staff_task"):
        op.execute(f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN told_id uuid")
        _set_check(table, "one_matter", NEW_MATTER)
    op.execute(f"""ALTER TABLE {SCHEMA}.notice ADD COLUMN account_ref text,
        ADD CONSTRAINT notice_municipality_told_id_kind_occasion_key UNIQUE (municipality, told_id, kind, occasion),
        ADD CONSTRAINT notice_account_check CHECK ((told_id IS NULL) = (account_ref IS NULL))""")
    op.execute(f"""CREATE INDEX notice_account_idx ON {SCHEMA}.notice (municipality, account_ref)
        WHERE state IN ('pending', 'unknown')""")
    _set_check("notice", "kind", f"kind IN ({KINDS}, {NEW_KINDS})")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM {SCHEMA}.{table} t USING {SCHEMA}.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind IN ({NEW_KINDS})"
        )
    op.execute(f"DELETE FROM {SCHEMA}.notice WHERE kind IN ({NEW_KINDS})")
    # What the version before knows nothing of.
    op.execute(f"DELETE FROM {SCHEMA}.application WHERE until IS NOT NULL OR starts_at IS NOT NULL")
    op.execute(f"DELETE FROM {SCHEMA}.due WHERE kind IN ('class_reminder', 'forget_told')")
    _set_check("notice", "kind", f"kind IN ({KINDS})")
    op.execute(f"""ALTER TABLE {SCHEMA}.notice
        DROP CONSTRAINT notice_account_check, DROP CONSTRAINT notice_municipality_told_id_kind_occasion_key,
        DROP COLUMN account_ref""")
    for table in ("notice", "staff_task"):
        _set_check(table, "one_matter", OLD_MATTER)
        op.execute(f"ALTER TABLE {SCHEMA}.{table} DROP COLUMN told_id")
    op.execute(f"""ALTER TABLE {SCHEMA}.application
        ALTER COLUMN subject_ref SET NOT NULL, ALTER COLUMN case_id SET NOT NULL,
        DROP COLUMN title, DROP COLUMN venue, DROP COLUMN starts_at, DROP COLUMN ends_at, DROP COLUMN until""")
    op.execute(f"DROP TABLE {SCHEMA}.told")
    op.execute(f"DROP TABLE {SCHEMA}.account_contact")


def _set_check(table: str, name: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.{table} DROP CONSTRAINT {table}_{name}_check")
    op.execute(f"ALTER TABLE {SCHEMA}.{table} ADD CONSTRAINT {table}_{name}_check CHECK ({condition})")
