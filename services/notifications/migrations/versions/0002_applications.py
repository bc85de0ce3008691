"""Notices of online applications, beside those of appointments."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None

SCHEMA = "notifications"
KINDS = ("confirmation", "change", "cancellation", "reminder")
APPLICATION_KINDS = (
    "application_received",
    "application_accepted",
    "application_correction",
    "application_completed",
    "application_withdrawn",
)


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.application (
        municipality text NOT NULL, application_id uuid NOT NULL, version integer NOT NULL, number text NOT NULL,
        subject_ref uuid NOT NULL, contact_ref uuid, case_id uuid NOT NULL, procedure text NOT NULL,
        office text NOT NULL, state text NOT NULL, access_sealed bytea, access_version integer NOT NULL DEFAULT 0,
        CONSTRAINT application_pkey PRIMARY KEY (municipality, application_id))""")
    for statement in row_level_security(SCHEMA, "application"):
        op.execute(statement)
    for table in ("notice", "staff_task"):
        # Wider than before: the processes of the version before go on writing.
        op.execute(f"ALTER TABLE {SCHEMA}.{table} ADD COLUMN application_id uuid")
        op.execute(f"ALTER TABLE {SCHEMA}.{table} ALTER COLUMN appointment_id DROP NOT NULL")
        op.execute(f"""ALTER TABLE {SCHEMA}.{table} ADD CONSTRAINT {table}_one_matter_check
            CHECK ((appointment_id IS NULL) <> (application_id IS NULL))""")
    op.execute(f"""ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_municipality_application_id_kind_occasion_key
        UNIQUE (municipality, application_id, kind, occasion)""")
    _set_kinds((*KINDS, *APPLICATION_KINDS))


def downgrade() -> None:
    notices = f"SELECT notice_id FROM {SCHEMA}.notice WHERE application_id IS NOT NULL"
    for table in ("attempt", "staff_task", "notice"):
        op.execute(f"DELETE FROM {SCHEMA}.{table} WHERE notice_id IN ({notices})")
    _set_kinds(KINDS)
    for table in ("notice", "staff_task"):
        op.execute(f"ALTER TABLE {SCHEMA}.{table} DROP COLUMN application_id")
        op.execute(f"ALTER TABLE {SCHEMA}.{table} ALTER COLUMN appointment_id SET NOT NULL")
    op.execute(f"DROP TABLE {SCHEMA}.application")


def _set_kinds(kinds: tuple[str, ...]) -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_kind_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_kind_check CHECK (kind IN {kinds})")
