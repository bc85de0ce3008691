"""A town's own texts in versions, and in whose words an attempt is told."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0026", "0025", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'helper_found', 'closure', 'reopened', 'earlier_offer', "
    "'application_received', 'application_accepted', 'application_correction', 'application_visit', "
    "'application_completed', 'application_refused', 'application_withdrawn', 'draw_won', 'draw_lost', "
    "'draw_called_off', 'case_switched', 'turn_near', 'help_open', 'help_unmet', 'class_entered', 'class_waiting', "
    "'class_offered', 'class_lost', 'class_called_off', 'class_reminder', 'helper_offer', 'helper_cover', "
    "'helper_cancelled', 'helper_changed', 'helper_reminder', 'helper_message', 'sign_in', "
    "'class_proposed', 'class_changed', 'helper_placed', 'contact_code', 'contact_dead', 'contact_changed'"
)
# What was published once stays so: who went by it can be told from it.
GUARD = f"""
CREATE FUNCTION {SCHEMA}.guard_template_version() RETURNS trigger LANGUAGE plpgsql
    SET search_path = {SCHEMA}, pg_catalog AS $$
BEGIN
    IF OLD.published_at IS NOT NULL THEN
        RAISE EXCEPTION 'this version was published'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'template_version_guard_published';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.template_version (
        municipality text NOT NULL, kind text NOT NULL, office text NOT NULL, channel text NOT NULL,
        language text NOT NULL, version integer NOT NULL, text text NOT NULL, saved_by text NOT NULL,
        saved_at timestamptz NOT NULL, published_by text, published_at timestamptz,
        CONSTRAINT template_version_pkey PRIMARY KEY (municipality, kind, office, channel, language, version),
        CONSTRAINT template_version_kind_check CHECK (kind IN ({KINDS})),
        CONSTRAINT template_version_channel_check
            CHECK (channel IN ('email_subject', 'email', 'sms', 'line', 'letter')),
        CONSTRAINT template_version_language_check CHECK (language IN ('ja', 'ja-easy', 'en')),
        CONSTRAINT template_version_version_check CHECK (version >= 1),
        CONSTRAINT template_version_published_check CHECK ((published_at IS NULL) = (published_by IS NULL)))""")
    for statement in row_level_security(SCHEMA, "template_version"):
        op.execute(statement)
    op.execute(GUARD)
    op.execute(f"""CREATE TRIGGER guard_template_version BEFORE UPDATE ON {SCHEMA}.template_version
        FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.guard_template_version()""")
    role = application_role(op.get_bind(), SCHEMA)
    op.execute(f"REVOKE UPDATE, DELETE ON {SCHEMA}.template_version FROM {role}")
    op.execute(f"GRANT UPDATE (published_by, published_at) ON {SCHEMA}.template_version TO {role}")
    op.execute(f"ALTER TABLE {SCHEMA}.attempt ADD COLUMN words jsonb NOT NULL DEFAULT '[]'")
    op.execute(f"ALTER TABLE {SCHEMA}.catalogue_procedure ADD COLUMN office text NOT NULL DEFAULT ''")


def downgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.catalogue_procedure DROP COLUMN office")
    op.execute(f"ALTER TABLE {SCHEMA}.attempt DROP COLUMN words")
    op.execute(f"DROP TABLE {SCHEMA}.template_version")
    op.execute(f"DROP FUNCTION {SCHEMA}.guard_template_version()")
