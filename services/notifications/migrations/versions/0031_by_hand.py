"""What staff carry: letters that they print, and calls that they make."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0031", "0030", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.letter_batch (
        municipality text NOT NULL, batch_id uuid NOT NULL, made_at timestamptz NOT NULL, made_by text NOT NULL,
        printed integer NOT NULL DEFAULT 0, posted_at timestamptz, posted_by text,
        CONSTRAINT letter_batch_pkey PRIMARY KEY (municipality, batch_id),
        CONSTRAINT letter_batch_posted_check CHECK ((posted_at IS NULL) = (posted_by IS NULL)),
        CONSTRAINT letter_batch_printed_check CHECK (posted_at IS NULL OR printed > 0))""")
    op.execute(f"CREATE INDEX letter_batch_made_idx ON {SCHEMA}.letter_batch (municipality, made_at DESC)")
    op.execute(f"""CREATE TABLE {SCHEMA}.letter (
        municipality text NOT NULL, letter_id uuid NOT NULL, notice_id uuid NOT NULL, way_no integer NOT NULL,
        content_sealed bytea, wrapped_key bytea, queued_at timestamptz NOT NULL, batch_id uuid, position integer,
        taken_out_at timestamptz, came_back_at timestamptz,
        CONSTRAINT letter_pkey PRIMARY KEY (municipality, letter_id),
        CONSTRAINT letter_municipality_notice_id_way_no_key UNIQUE (municipality, notice_id, way_no),
        CONSTRAINT letter_municipality_batch_id_position_key UNIQUE (municipality, batch_id, position),
        CONSTRAINT letter_municipality_notice_id_fkey FOREIGN KEY (municipality, notice_id)
            REFERENCES {SCHEMA}.notice (municipality, notice_id) ON DELETE CASCADE,
        CONSTRAINT letter_municipality_batch_id_fkey FOREIGN KEY (municipality, batch_id)
            REFERENCES {SCHEMA}.letter_batch (municipality, batch_id),
        CONSTRAINT letter_sealed_check CHECK ((content_sealed IS NULL) = (wrapped_key IS NULL)),
        CONSTRAINT letter_position_check CHECK ((batch_id IS NULL) = (position IS NULL)),
        CONSTRAINT letter_came_back_check
            CHECK (came_back_at IS NULL OR (batch_id IS NOT NULL AND taken_out_at IS NULL)))""")
    op.execute(f"""CREATE INDEX letter_waiting_idx ON {SCHEMA}.letter (municipality, queued_at)
        WHERE batch_id IS NULL AND taken_out_at IS NULL""")
    for table in ("letter_batch", "letter"):
        for statement in row_level_security(SCHEMA, table):
            op.execute(statement)
    # Whoever takes a letter out of the batch of somebody else would have it printed by nobody, or twice.
    op.execute(f"""CREATE FUNCTION {SCHEMA}.guard_letter() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'a letter stays in its batch' USING ERRCODE = 'integrity_constraint_violation'; END $$""")
    op.execute(f"""CREATE TRIGGER guard_letter BEFORE UPDATE ON {SCHEMA}.letter FOR EACH ROW
        WHEN (OLD.batch_id IS NOT NULL AND NEW.batch_id IS DISTINCT FROM OLD.batch_id)
        EXECUTE FUNCTION {SCHEMA}.guard_letter()""")
    op.execute(f"""ALTER TABLE {SCHEMA}.staff_task
        ADD COLUMN way_no integer, ADD COLUMN tries integer NOT NULL DEFAULT 0, ADD COLUMN again_at timestamptz,
        ADD CONSTRAINT staff_task_tries_check CHECK (tries >= 0)""")


def downgrade() -> None:
    op.execute(f"DELETE FROM {SCHEMA}.due WHERE kind IN ('end_call', 'forget_letters')")
    op.execute(f"""ALTER TABLE {SCHEMA}.staff_task
        DROP COLUMN way_no, DROP COLUMN tries, DROP COLUMN again_at""")
    op.execute(f"DROP TABLE {SCHEMA}.letter")
    op.execute(f"DROP FUNCTION {SCHEMA}.guard_letter")
    op.execute(f"DROP TABLE {SCHEMA}.letter_batch")
