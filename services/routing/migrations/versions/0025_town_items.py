"""Items of the town's own, how its forms ask, and what of a case's form does not apply."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0025", "0024", None, None

TABLES = {
    "town_item": """CREATE TABLE routing.town_item (
        municipality text NOT NULL, code text NOT NULL, position integer NOT NULL, content jsonb NOT NULL,
        withdrawn_at timestamptz,
        CONSTRAINT town_item_pkey PRIMARY KEY (municipality, code))""",
    "procedure_form": """CREATE TABLE routing.procedure_form (
        municipality text NOT NULL, procedure text NOT NULL, groups jsonb NOT NULL,
        CONSTRAINT procedure_form_pkey PRIMARY KEY (municipality, procedure))""",
}


def upgrade() -> None:
    for table, statement in TABLES.items():
        op.execute(statement)
        for policy in row_level_security("routing", table):
            op.execute(policy)
    op.execute("ALTER TABLE routing.case_file ADD COLUMN not_asked text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.case_file DROP COLUMN not_asked")
    for table in TABLES:
        op.execute(f"DROP TABLE routing.{table}")
