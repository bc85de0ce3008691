"""Erasure: how far one is; nothing is written of an erased subject again; how long a procedure's data is kept."""

from alembic import op

from shared.db import row_level_security
from shared.erasure import erasure_v1, erasure_v1_undone
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0016", "0015", None, None

TABLES = (
    "session", "session_person", "case_file", "subject_key", "item", "application", "appointment", "reuse",
    "reuse_stop", "protection", "inquiry",
)  # fmt: skip
ERASURE = """CREATE TABLE routing.erasure (
    municipality text NOT NULL, erasure_id uuid NOT NULL, number text NOT NULL, request_key uuid NOT NULL,
    subject_ref uuid, reason text NOT NULL, version integer NOT NULL, requested_at timestamptz NOT NULL,
    booking_done_at timestamptz, notifications_done_at timestamptz, finished_at timestamptz,
    CONSTRAINT erasure_pkey PRIMARY KEY (municipality, erasure_id),
    CONSTRAINT erasure_municipality_number_key UNIQUE (municipality, number),
    CONSTRAINT erasure_municipality_request_key_key UNIQUE (municipality, request_key),
    CONSTRAINT erasure_municipality_subject_ref_key UNIQUE (municipality, subject_ref),
    CONSTRAINT erasure_reason_check CHECK (reason IN ('resident', 'operator', 'retention')),
    CONSTRAINT erasure_names_nobody_check CHECK ((finished_at IS NULL) = (subject_ref IS NOT NULL)),
    CONSTRAINT erasure_all_answered_check CHECK (
        (finished_at IS NOT NULL) = (booking_done_at IS NOT NULL AND notifications_done_at IS NOT NULL)))"""


def upgrade() -> None:
    role = application_role(op.get_bind(), "routing")
    for statement in (*erasure_v1("routing", TABLES, role), ERASURE, *row_level_security("routing", "erasure")):
        op.execute(statement)
    op.execute("ALTER TABLE routing.procedure ADD COLUMN retention_days integer NOT NULL DEFAULT 365")
    op.execute("""CREATE INDEX session_subject_idx ON routing.session (municipality, subject_ref)
        WHERE subject_ref IS NOT NULL""")


def downgrade() -> None:
    op.execute("DROP INDEX routing.session_subject_idx")
    op.execute("ALTER TABLE routing.procedure DROP COLUMN retention_days")
    op.execute("DROP TABLE routing.erasure")
    for statement in erasure_v1_undone("routing", TABLES):
        op.execute(statement)
