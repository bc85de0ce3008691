"""Attached files, sealed, and gone with the last version that lists them; what a procedure asks to attach."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0026", "0025", None, None

TABLES = (
    """CREATE TABLE routing.attachment (
        municipality text NOT NULL, file_id uuid NOT NULL, case_id uuid NOT NULL, slot smallint, send_key uuid NOT NULL,
        kind text NOT NULL, size_bytes integer NOT NULL, pages integer NOT NULL, hash text NOT NULL,
        sealed_about bytea NOT NULL, sealed_small bytea, stored_at timestamptz NOT NULL,
        CONSTRAINT attachment_pkey PRIMARY KEY (municipality, file_id),
        CONSTRAINT attachment_kind_check CHECK (kind IN ('jpeg', 'pdf')),
        CONSTRAINT attachment_slot_check CHECK (slot BETWEEN 1 AND 10),
        CONSTRAINT attachment_municipality_case_id_slot_key UNIQUE (municipality, case_id, slot),
        CONSTRAINT attachment_municipality_case_id_send_key_key UNIQUE (municipality, case_id, send_key))""",
    """CREATE TABLE routing.attachment_chunk (
        municipality text NOT NULL, file_id uuid NOT NULL, position integer NOT NULL, sealed bytea NOT NULL,
        CONSTRAINT attachment_chunk_pkey PRIMARY KEY (municipality, file_id, position),
        CONSTRAINT attachment_chunk_municipality_file_id_fkey FOREIGN KEY (municipality, file_id)
            REFERENCES routing.attachment (municipality, file_id) ON DELETE CASCADE)""",
    """CREATE TABLE routing.attachment_use (
        municipality text NOT NULL, subject_ref uuid NOT NULL, key text NOT NULL, version integer NOT NULL,
        position smallint NOT NULL, file_id uuid NOT NULL,
        CONSTRAINT attachment_use_pkey PRIMARY KEY (municipality, subject_ref, key, version, position),
        CONSTRAINT attachment_use_municipality_subject_ref_key_version_fkey
            FOREIGN KEY (municipality, subject_ref, key, version)
            REFERENCES routing.item (municipality, subject_ref, key, version) ON DELETE CASCADE,
        CONSTRAINT attachment_use_municipality_file_id_fkey FOREIGN KEY (municipality, file_id)
            REFERENCES routing.attachment (municipality, file_id))""",
    "CREATE INDEX attachment_use_file_idx ON routing.attachment_use (municipality, file_id)",
    # It is already packed.
    "ALTER TABLE routing.attachment_chunk ALTER COLUMN sealed SET STORAGE EXTERNAL",
    """CREATE TRIGGER guard_erased BEFORE INSERT OR UPDATE OF subject_ref ON routing.attachment_use
        FOR EACH ROW EXECUTE FUNCTION routing.guard_erased()""",
    # Of two that take away the last two, the second waits for the first, and sees that nothing lists the file any more.
    """CREATE FUNCTION routing.drop_unused_attachment() RETURNS trigger LANGUAGE plpgsql
        SET search_path = routing, pg_catalog AS $$
    BEGIN
        PERFORM FROM routing.attachment a
        WHERE (a.municipality, a.file_id) = (OLD.municipality, OLD.file_id) FOR UPDATE;
        DELETE FROM routing.attachment a
        WHERE (a.municipality, a.file_id) = (OLD.municipality, OLD.file_id) AND NOT EXISTS (
            SELECT FROM routing.attachment_use u WHERE (u.municipality, u.file_id) = (a.municipality, a.file_id));
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER drop_unused AFTER DELETE ON routing.attachment_use
        FOR EACH ROW EXECUTE FUNCTION routing.drop_unused_attachment()""",
)
OWN_TABLES = ("attachment", "attachment_chunk", "attachment_use")


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    op.execute("ALTER TABLE routing.procedure ADD COLUMN attach text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.procedure DROP COLUMN attach")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
    op.execute("DROP FUNCTION routing.drop_unused_attachment()")
