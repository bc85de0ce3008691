"""What a guest says of their situation while comparing, and the town's facts of each place: payment, access, travel."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0021", "0020", None, None


def upgrade() -> None:
    # Constant defaults: no rewrite of the tables, and the processes of the version before go on writing.
    op.execute("""ALTER TABLE routing.counter ADD COLUMN payment text[] NOT NULL DEFAULT '{}',
        ADD COLUMN access text[] NOT NULL DEFAULT '{}', ADD COLUMN travel_ja text NOT NULL DEFAULT ''""")
    op.execute("""ALTER TABLE routing.catalogue ADD COLUMN online_payment text[] NOT NULL DEFAULT '{}',
        ADD COLUMN places_confirmed boolean NOT NULL DEFAULT true""")
    op.execute("""CREATE TABLE routing.situation (
        municipality text NOT NULL, session_id text NOT NULL, until text, phone text, needs text[] NOT NULL,
        told_at timestamptz NOT NULL,
        CONSTRAINT situation_pkey PRIMARY KEY (municipality, session_id),
        CONSTRAINT situation_until_check CHECK (until IN ('tomorrow', 'week', 'any_day')),
        CONSTRAINT situation_phone_check CHECK (phone IN ('alone', 'together', 'none')),
        CONSTRAINT situation_needs_check
            CHECK (needs <@ ARRAY['step_free', 'sign', 'writing', 'interpreter', 'stay_home']),
        CONSTRAINT situation_municipality_session_id_fkey FOREIGN KEY (municipality, session_id)
            REFERENCES routing.session (municipality, session_id) ON DELETE CASCADE)""")
    for statement in row_level_security("routing", "situation"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE routing.situation")
    op.execute("ALTER TABLE routing.catalogue DROP COLUMN online_payment, DROP COLUMN places_confirmed")
    op.execute("ALTER TABLE routing.counter DROP COLUMN payment, DROP COLUMN access, DROP COLUMN travel_ja")
