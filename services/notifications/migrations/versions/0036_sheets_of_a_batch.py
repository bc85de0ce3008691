"""How many sheets a batch of letters has, so that one whose person was erased is known to be missing."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0036", "0035", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.letter_batch ADD COLUMN size integer")
    # Of those that there are, the last that is still known; a batch whose letters are all gone had one at least.
    op.execute(f"""UPDATE {SCHEMA}.letter_batch b SET size = coalesce((
        SELECT max(position) FROM {SCHEMA}.letter l
        WHERE (l.municipality, l.batch_id) = (b.municipality, b.batch_id)), 1)""")
    op.execute(f"""ALTER TABLE {SCHEMA}.letter_batch ALTER COLUMN size SET NOT NULL,
        ADD CONSTRAINT letter_batch_size_check CHECK (size > 0)""")
    # From now on content is forgotten whether or not somebody says that it was posted.
    op.execute(f"""INSERT INTO {SCHEMA}.due (municipality, kind, ref, due_at)
        SELECT municipality, 'forget_letters', batch_id::text, made_at + interval '14 days'
        FROM {SCHEMA}.letter_batch WHERE posted_at IS NULL ON CONFLICT DO NOTHING""")


def downgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.letter_batch DROP COLUMN size")
