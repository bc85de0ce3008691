"""What a person wishes of their notices: paper, language, quiet hours, stops; ways that are proved by a code."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0028", "0027", None, None

SCHEMA = "notifications"
KINDS = (
    "'confirmation', 'change', 'cancellation', 'reminder', 'helper_found', 'closure', 'reopened', 'earlier_offer', "
    "'application_received', 'application_accepted', 'application_correction', 'application_visit', "
    "'application_completed', 'application_refused', 'application_withdrawn', 'draw_won', 'draw_lost', "
    "'draw_called_off', 'case_switched', 'turn_near', 'help_open', 'help_unmet', 'class_entered', 'class_waiting', "
    "'class_offered', 'class_lost', 'class_called_off', 'class_reminder', 'helper_offer', 'helper_cover', "
    "'helper_cancelled', 'helper_changed', 'helper_reminder', 'helper_message', 'sign_in', "
    "'class_proposed', 'class_changed', 'helper_placed'"
)
NEW_KINDS = "'contact_code', 'contact_dead'"
CONTACT = f"""FOREIGN KEY (municipality, contact_ref)
            REFERENCES {SCHEMA}.contact_point (municipality, contact_ref)"""


def upgrade() -> None:
    op.execute(f"""ALTER TABLE {SCHEMA}.contact_point
        ADD COLUMN wants_paper boolean NOT NULL DEFAULT false, ADD COLUMN chosen_language text,
        ADD COLUMN quiet_from integer, ADD COLUMN quiet_to integer, ADD COLUMN stopped text[] NOT NULL DEFAULT '{{}}',
        ADD CONSTRAINT contact_point_quiet_check CHECK ((quiet_from IS NULL) = (quiet_to IS NULL)),
        ADD CONSTRAINT contact_point_quiet_from_check CHECK (quiet_from BETWEEN 17 AND 21),
        ADD CONSTRAINT contact_point_quiet_to_check CHECK (quiet_to BETWEEN 8 AND 12),
        ADD CONSTRAINT contact_point_stopped_check
            CHECK (stopped <@ ARRAY['reminder', 'earlier_offer', 'turn_near', 'feedback'])""")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_way ADD COLUMN state_no integer NOT NULL DEFAULT 0")
    # The way that was given with the case was approved as it is.
    op.execute(f"""UPDATE {SCHEMA}.contact_way w SET verified_at = c.given_at FROM {SCHEMA}.contact_point c
        WHERE (c.municipality, c.contact_ref) = (w.municipality, w.contact_ref) AND w.verified_at IS NULL""")
    op.execute(f"""CREATE TABLE {SCHEMA}.way_code (
        municipality text NOT NULL, code_id uuid NOT NULL, contact_ref uuid NOT NULL, way_no integer NOT NULL,
        code_hash bytea NOT NULL, address_hash bytea NOT NULL, asked_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL, tries integer NOT NULL DEFAULT 0, ended_at timestamptz,
        CONSTRAINT way_code_pkey PRIMARY KEY (municipality, code_id),
        CONSTRAINT way_code_municipality_contact_ref_fkey {CONTACT} ON DELETE CASCADE,
        CONSTRAINT way_code_tries_check CHECK (tries BETWEEN 0 AND 5))""")
    op.execute(f"CREATE INDEX way_code_address_idx ON {SCHEMA}.way_code (municipality, address_hash, asked_at)")
    op.execute(f"""CREATE UNIQUE INDEX way_code_live_idx ON {SCHEMA}.way_code (municipality, contact_ref, way_no)
        WHERE ended_at IS NULL""")
    for statement in row_level_security(SCHEMA, "way_code"):
        op.execute(statement)
    op.execute(f"""ALTER TABLE {SCHEMA}.told
        ALTER COLUMN account_ref DROP NOT NULL, ADD COLUMN contact_ref uuid,
        ADD CONSTRAINT told_whom_check CHECK (num_nonnulls(account_ref, contact_ref) = 1),
        ADD CONSTRAINT told_municipality_contact_ref_fkey {CONTACT}""")
    op.execute(f"""CREATE INDEX told_contact_idx ON {SCHEMA}.told (municipality, contact_ref)
        WHERE contact_ref IS NOT NULL""")
    op.execute(f"""ALTER TABLE {SCHEMA}.notice
        ADD COLUMN only_way integer,
        ADD CONSTRAINT notice_only_way_check CHECK (only_way IS NULL OR told_id IS NOT NULL),
        ADD CONSTRAINT notice_whom_check CHECK (told_id IS NULL OR num_nonnulls(account_ref, contact_ref) = 1)""")
    _set_check("account", "account_ref IS NULL OR told_id IS NOT NULL")
    _set_check("kind", f"kind IN ({KINDS}, {NEW_KINDS})")


def downgrade() -> None:
    for table in ("staff_task", "attempt"):
        op.execute(
            f"DELETE FROM {SCHEMA}.{table} t USING {SCHEMA}.notice n "
            f"WHERE (t.municipality, t.notice_id) = (n.municipality, n.notice_id) AND n.kind IN ({NEW_KINDS})"
        )
    op.execute(f"DELETE FROM {SCHEMA}.notice WHERE kind IN ({NEW_KINDS})")
    op.execute(f"DELETE FROM {SCHEMA}.told WHERE contact_ref IS NOT NULL")
    # The version before would send to what nobody has proved.
    op.execute(f"DELETE FROM {SCHEMA}.contact_way WHERE verified_at IS NULL")
    # It knows paper by another word.
    op.execute(f"""DELETE FROM {SCHEMA}.contact_way w USING {SCHEMA}.contact_point c
        WHERE (c.municipality, c.contact_ref) = (w.municipality, w.contact_ref) AND c.wants_paper""")
    op.execute(f"UPDATE {SCHEMA}.contact_point SET reach = 'none' WHERE wants_paper")
    _set_check("kind", f"kind IN ({KINDS})")
    op.execute(f"""ALTER TABLE {SCHEMA}.notice
        DROP CONSTRAINT notice_whom_check, DROP CONSTRAINT notice_only_way_check, DROP COLUMN only_way""")
    _set_check("account", "(told_id IS NULL) = (account_ref IS NULL)")
    op.execute(f"""ALTER TABLE {SCHEMA}.told DROP CONSTRAINT told_whom_check, DROP COLUMN contact_ref,
        ALTER COLUMN account_ref SET NOT NULL""")
    op.execute(f"DROP TABLE {SCHEMA}.way_code")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_way DROP COLUMN state_no")
    op.execute(f"""ALTER TABLE {SCHEMA}.contact_point DROP COLUMN wants_paper, DROP COLUMN chosen_language,
        DROP COLUMN quiet_from, DROP COLUMN quiet_to, DROP COLUMN stopped""")


def _set_check(name: str, condition: str) -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.notice DROP CONSTRAINT notice_{name}_check")
    op.execute(f"ALTER TABLE {SCHEMA}.notice ADD CONSTRAINT notice_{name}_check CHECK ({condition})")
