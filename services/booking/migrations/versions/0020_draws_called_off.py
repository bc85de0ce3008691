"""A draw can be called off, as long as people can still enter: afterwards it would be choosing."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0020", "0019", None, None

GUARD = """
CREATE OR REPLACE FUNCTION booking.guard_draw() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'an announced draw stays' USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_stays';
    END IF;
    IF (NEW.municipality, NEW.draw_id, NEW.title_ja, NEW.procedure, NEW.counter, NEW.opens_at, NEW.closes_at,
        NEW.seed_commitment, NEW.announced_at) IS DISTINCT FROM
       (OLD.municipality, OLD.draw_id, OLD.title_ja, OLD.procedure, OLD.counter, OLD.opens_at, OLD.closes_at,
        OLD.seed_commitment, OLD.announced_at) THEN
        RAISE EXCEPTION 'what was announced of a draw does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_announced';
    END IF;
    {called_off}IF OLD.state = 'drawn' AND (NEW.state, NEW.seed, NEW.entries_digest, NEW.drawn_at) IS DISTINCT FROM
                               (OLD.state, OLD.seed, OLD.entries_digest, OLD.drawn_at) THEN
        RAISE EXCEPTION 'what was drawn does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_drawn';
    END IF;
    IF NEW.drawn_at < NEW.closes_at THEN
        RAISE EXCEPTION 'people can still enter' USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_early';
    END IF;
    RETURN NEW;
END $$
"""
CALLED_OFF = """IF OLD.state = 'called_off' AND (NEW.state, NEW.called_off_at) IS DISTINCT FROM
                                    (OLD.state, OLD.called_off_at) THEN
        RAISE EXCEPTION 'what was called off does not change'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_called_off';
    END IF;
    IF NEW.called_off_at >= NEW.closes_at THEN
        RAISE EXCEPTION 'nobody can enter any more: now it is drawn'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_late';
    END IF;
    """
STATES = "ALTER TABLE booking.draw ADD CONSTRAINT draw_state_check CHECK (state IN ({}))"


def upgrade() -> None:
    op.execute("ALTER TABLE booking.draw ADD COLUMN called_off_at timestamptz")
    op.execute("ALTER TABLE booking.draw DROP CONSTRAINT draw_state_check")
    op.execute(STATES.format("'announced', 'drawn', 'called_off'"))
    op.execute("""ALTER TABLE booking.draw ADD CONSTRAINT draw_called_off_whole_check
        CHECK ((state = 'called_off') = (called_off_at IS NOT NULL))""")
    op.execute(GUARD.format(called_off=CALLED_OFF))


def downgrade() -> None:
    op.execute(GUARD.format(called_off=""))
    op.execute("ALTER TABLE booking.draw DROP CONSTRAINT draw_called_off_whole_check")
    op.execute("ALTER TABLE booking.draw DROP CONSTRAINT draw_state_check")
    # To the version before it is a draw that nobody entered. A trigger of ours would keep it.
    op.execute("ALTER TABLE booking.draw DISABLE TRIGGER guard_draw")
    op.execute("""UPDATE booking.draw SET state = 'announced' WHERE state = 'called_off'""")
    op.execute("ALTER TABLE booking.draw ENABLE TRIGGER guard_draw")
    op.execute(STATES.format("'announced', 'drawn'"))
    op.execute("ALTER TABLE booking.draw DROP COLUMN called_off_at")
