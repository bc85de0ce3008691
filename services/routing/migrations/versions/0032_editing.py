"""The town pack edited on pages: saves, where the editing stands, what is to be published; minutes and offices."""

from alembic import op

from shared.db import row_level_security
from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0032", "0031", None, None

SAVE = """CREATE TABLE routing.pack_save (
    municipality text NOT NULL, save integer NOT NULL, parent integer, files jsonb NOT NULL,
    changes jsonb NOT NULL, deed text NOT NULL, saved_by text NOT NULL, saved_at timestamptz NOT NULL,
    CONSTRAINT pack_save_pkey PRIMARY KEY (municipality, save),
    CONSTRAINT pack_save_deed_check CHECK (deed IN ('begin', 'edit', 'back', 'merge')),
    CONSTRAINT pack_save_parent_check CHECK (parent < save),
    CONSTRAINT pack_save_municipality_parent_fkey FOREIGN KEY (municipality, parent)
        REFERENCES routing.pack_save (municipality, save))"""
DRAFT = """CREATE TABLE routing.pack_draft (
    municipality text NOT NULL, at integer NOT NULL, base integer NOT NULL,
    CONSTRAINT pack_draft_pkey PRIMARY KEY (municipality),
    CONSTRAINT pack_draft_municipality_at_fkey FOREIGN KEY (municipality, at)
        REFERENCES routing.pack_save (municipality, save),
    CONSTRAINT pack_draft_municipality_base_fkey FOREIGN KEY (municipality, base)
        REFERENCES routing.pack_version (municipality, version))"""
ORDER = """CREATE TABLE routing.pack_order (
    municipality text NOT NULL, order_id uuid NOT NULL, save integer NOT NULL, base integer NOT NULL,
    state text NOT NULL, ordered_by text NOT NULL, ordered_at timestamptz NOT NULL, ended_at timestamptz,
    CONSTRAINT pack_order_pkey PRIMARY KEY (municipality, order_id),
    CONSTRAINT pack_order_state_check
        CHECK (state IN ('waiting', 'published', 'overtaken', 'failed', 'called_off')),
    CONSTRAINT pack_order_ended_check CHECK ((state = 'waiting') = (ended_at IS NULL)),
    CONSTRAINT pack_order_municipality_save_fkey FOREIGN KEY (municipality, save)
        REFERENCES routing.pack_save (municipality, save))"""
WAITING = """CREATE UNIQUE INDEX pack_order_waiting_key ON routing.pack_order (municipality)
    WHERE state = 'waiting'"""
OWN_TABLES = ("pack_save", "pack_draft", "pack_order")


def upgrade() -> None:
    op.execute("""ALTER TABLE routing.catalogue ADD COLUMN channels jsonb NOT NULL DEFAULT '{}',
        ADD COLUMN offices jsonb NOT NULL DEFAULT '[]'""")
    op.execute("ALTER TABLE routing.procedure ADD COLUMN online_minutes integer")
    for statement in (SAVE, DRAFT, ORDER, WAITING):
        op.execute(statement)
    for table in OWN_TABLES:
        for statement in row_level_security("routing", table):
            op.execute(statement)
    # What was saved once is never told differently: undone, it stays to be done again.
    op.execute(f"REVOKE UPDATE, DELETE ON routing.pack_save FROM {application_role(op.get_bind(), 'routing')}")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.procedure DROP COLUMN online_minutes")
    op.execute("ALTER TABLE routing.catalogue DROP COLUMN offices, DROP COLUMN channels")
    for table in reversed(OWN_TABLES):
        op.execute(f"DROP TABLE routing.{table}")
