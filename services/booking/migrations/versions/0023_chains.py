"""One visit for everything: places offered together, and whoever was missed at one counter may come to another then."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0023", "0022", None, None

NO_OVERLAP = """ALTER TABLE booking.appointment
    ADD CONSTRAINT appointment_chain_no_overlap_excl EXCLUDE USING gist
        (municipality WITH =, chain_id WITH =, chain_person WITH =, tstzrange(starts_at, chain_until) WITH &&)
        WHERE ({who})"""
DROP = "ALTER TABLE booking.appointment DROP CONSTRAINT appointment_chain_no_overlap_excl"
BEFORE = "chain_id IS NOT NULL AND state <> 'cancelled'"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE booking.offered_place
            ADD COLUMN together_id uuid, ADD COLUMN person integer,
            ADD CONSTRAINT offered_place_together_whole_check CHECK ((together_id IS NULL) = (person IS NULL))
    """)
    op.execute(DROP)
    op.execute(NO_OVERLAP.format(who=f"{BEFORE} AND state <> 'no_show'"))


def downgrade() -> None:
    op.execute(DROP)
    # What has moved into a time that was missed belongs to no arrival there.
    op.execute("""
        UPDATE booking.appointment me SET chain_id = NULL, chain_person = NULL, chain_until = NULL
        WHERE me.state = 'no_show' AND EXISTS (
            SELECT FROM booking.appointment a
            WHERE (a.municipality, a.chain_id, a.chain_person) = (me.municipality, me.chain_id, me.chain_person)
              AND a.appointment_id <> me.appointment_id AND a.state <> 'cancelled'
              AND tstzrange(a.starts_at, a.chain_until) && tstzrange(me.starts_at, me.chain_until))
    """)
    op.execute(NO_OVERLAP.format(who=BEFORE))
    op.execute("ALTER TABLE booking.offered_place DROP COLUMN together_id, DROP COLUMN person")
