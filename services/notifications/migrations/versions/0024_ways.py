"""Several ways to reach a person, in their order: addresses move from the contact to its ways."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0024", "0023", None, None

SCHEMA = "notifications"


def upgrade() -> None:
    op.execute(f"""CREATE TABLE {SCHEMA}.contact_way (
        municipality text NOT NULL, contact_ref uuid NOT NULL, way_no integer NOT NULL, position integer NOT NULL,
        kind text NOT NULL, address_sealed bytea NOT NULL, is_relay boolean NOT NULL DEFAULT false,
        verified_at timestamptz, state text NOT NULL DEFAULT 'good', state_at timestamptz,
        CONSTRAINT contact_way_pkey PRIMARY KEY (municipality, contact_ref, way_no),
        CONSTRAINT contact_way_position_key UNIQUE (municipality, contact_ref, position) DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT contact_way_municipality_contact_ref_fkey FOREIGN KEY (municipality, contact_ref)
            REFERENCES {SCHEMA}.contact_point (municipality, contact_ref) ON DELETE CASCADE,
        CONSTRAINT contact_way_kind_check CHECK (kind IN ('email', 'sms', 'line', 'letter', 'call')),
        CONSTRAINT contact_way_state_check CHECK (state IN ('good', 'dead')))""")
    for statement in row_level_security(SCHEMA, "contact_way"):
        op.execute(statement)
    # Across towns: the owner of the tables is under no row-level security.
    op.execute(f"""INSERT INTO {SCHEMA}.contact_way (municipality, contact_ref, way_no, position, kind, address_sealed)
        SELECT municipality, contact_ref, 1, 1, reach, address_sealed FROM {SCHEMA}.contact_point
        WHERE address_sealed IS NOT NULL AND reach <> 'none'""")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point DROP COLUMN address_sealed")
    op.execute(f"ALTER TABLE {SCHEMA}.attempt ADD COLUMN way_no integer NOT NULL DEFAULT 1, ADD COLUMN delivery text")
    op.execute(f"""UPDATE {SCHEMA}.attempt a SET delivery = n.delivery FROM {SCHEMA}.notice n
        WHERE (a.municipality, a.notice_id) = (n.municipality, n.notice_id) AND a.outcome = 'accepted'""")


def downgrade() -> None:
    op.execute(f"ALTER TABLE {SCHEMA}.attempt DROP COLUMN way_no, DROP COLUMN delivery")
    op.execute(f"ALTER TABLE {SCHEMA}.contact_point ADD COLUMN address_sealed bytea")
    # The version before knows one way of each.
    op.execute(f"""UPDATE {SCHEMA}.contact_point c SET address_sealed = w.address_sealed FROM {SCHEMA}.contact_way w
        WHERE (w.municipality, w.contact_ref, w.way_no) = (c.municipality, c.contact_ref, 1)""")
    op.execute(f"DROP TABLE {SCHEMA}.contact_way")
