"""Which page of a case was opened last, and which one was open when it went another way: keys, never a value.

And, with a helper's wish for a counter, the time that was free first.
"""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0037", "0036", None, None

# Whatever the application does: the name of a page, or of an item of the catalogue.
IS_PAGE = "'^(form:[a-z0-9_]{1,40}|reuse|attach|reach|identity|send|names|handover|book)$'"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE routing.case_file
            ADD COLUMN open_page text,
            ADD CONSTRAINT case_file_open_page_check CHECK (open_page ~ {IS_PAGE})""")
    op.execute(f"""
        ALTER TABLE routing.case_switch
            ADD COLUMN page text,
            ADD COLUMN counter text,
            ADD COLUMN starts_at timestamptz,
            ADD CONSTRAINT case_switch_proposed_check
                CHECK ((counter IS NULL) = (starts_at IS NULL) AND (counter IS NULL OR to_channel = 'counter')),
            ADD CONSTRAINT case_switch_page_check
                CHECK (page IS NULL OR page ~ {IS_PAGE} AND from_channel = 'online')""")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.case_switch DROP COLUMN page, DROP COLUMN counter, DROP COLUMN starts_at")
    op.execute("ALTER TABLE routing.case_file DROP COLUMN open_page")
