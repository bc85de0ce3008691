"""Venues beside counters, helpers' accounts and sessions, what became of a helper's appointment,
and by which channel a pass leads on."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0005", "0004", None, None


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    op.execute("ALTER TABLE routing.counter ADD COLUMN kind text NOT NULL DEFAULT 'counter'")
    op.execute("""ALTER TABLE routing.counter
        ADD CONSTRAINT counter_kind_check CHECK (kind IN ('counter', 'venue'))""")
    op.execute("""ALTER TABLE routing.account ADD COLUMN display_name text,
        ADD COLUMN languages text[] NOT NULL DEFAULT '{}', ADD COLUMN closed_at timestamptz""")
    op.execute("ALTER TABLE routing.session DROP CONSTRAINT session_kind_check")
    op.execute("""ALTER TABLE routing.session
        ADD CONSTRAINT session_kind_check CHECK (kind IN ('guest', 'staff', 'helper'))""")
    op.execute("ALTER TABLE routing.appointment ADD COLUMN helper text NOT NULL DEFAULT 'none'")
    op.execute("ALTER TABLE routing.pass_issued ADD COLUMN channel text NOT NULL DEFAULT 'counter'")


def downgrade() -> None:
    op.execute("ALTER TABLE routing.pass_issued DROP COLUMN channel")
    op.execute("ALTER TABLE routing.appointment DROP COLUMN helper")
    # Nobody may stay signed in as something that the version before does not know.
    op.execute("DELETE FROM routing.session WHERE kind = 'helper'")
    op.execute("ALTER TABLE routing.session DROP CONSTRAINT session_kind_check")
    op.execute("""ALTER TABLE routing.session
        ADD CONSTRAINT session_kind_check CHECK (kind IN ('guest', 'staff'))""")
    op.execute("ALTER TABLE routing.account DROP COLUMN closed_at, DROP COLUMN languages, DROP COLUMN display_name")
    op.execute("ALTER TABLE routing.counter DROP COLUMN kind")
