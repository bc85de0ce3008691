"""Where a contact that notifications has was typed, and its version: a second case cites the first as the source."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None


def upgrade() -> None:
    op.execute("""CREATE TABLE routing.contact (
        municipality text NOT NULL, contact_ref uuid NOT NULL, version integer NOT NULL, procedure text NOT NULL,
        case_id uuid NOT NULL, step text NOT NULL, collected_at timestamptz NOT NULL,
        CONSTRAINT contact_pkey PRIMARY KEY (municipality, contact_ref))""")
    op.execute("""INSERT INTO routing.contact
        SELECT DISTINCT ON (municipality, contact_ref)
               municipality, contact_ref, 1, procedure, case_id, 'you', contact_given_at
        FROM routing.case_file WHERE contact_ref IS NOT NULL AND contact_given_at IS NOT NULL
        ORDER BY municipality, contact_ref, created_at""")
    for statement in row_level_security("routing", "contact"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE routing.contact")
