"""Slots of a draw that was called off can be in another draw: a slot is in one draw that was not called off."""

from alembic import op

from shared.migrations_env import application_role

revision, down_revision, branch_labels, depends_on = "0027", "0026", None, None

# A draw gives its slots back once, when it is called off, and never takes them again.
GUARD_SESSION = """
CREATE FUNCTION booking.guard_draw_session() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF NEW.is_kept OR NOT EXISTS (
        SELECT 1 FROM booking.draw d
        WHERE d.municipality = NEW.municipality AND d.draw_id = NEW.draw_id AND d.state = 'called_off') THEN
        RAISE EXCEPTION 'this slot stays in its draw'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'draw_guard_session';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_draw_session BEFORE UPDATE ON booking.draw_session
    FOR EACH ROW EXECUTE FUNCTION booking.guard_draw_session()
"""
# As in 0016, but for the predicate that the index needs.
GUARD_PLACE = """
CREATE OR REPLACE FUNCTION booking.guard_draw_place() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.audience = 'draw' AND NEW.hold_id IS NULL AND NEW.appointment_id IS NULL THEN
            RETURN NEW;
        END IF;
    END IF;
    IF EXISTS (SELECT 1 FROM booking.draw_session s JOIN booking.draw d USING (municipality, draw_id)
               WHERE s.municipality = OLD.municipality AND s.slot_id = OLD.slot_id{is_kept}
                 AND d.state = 'announced') THEN
        RAISE EXCEPTION 'the place is given out by a draw'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_draw';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    role = application_role(op.get_bind(), "booking")
    op.execute("ALTER TABLE booking.draw_session ADD COLUMN is_kept boolean NOT NULL DEFAULT true")
    op.execute("""
        UPDATE booking.draw_session s SET is_kept = false FROM booking.draw d
        WHERE (d.municipality, d.draw_id) = (s.municipality, s.draw_id) AND d.state = 'called_off'
    """)
    op.execute("ALTER TABLE booking.draw_session DROP CONSTRAINT draw_session_municipality_slot_id_key")
    op.execute("""
        CREATE UNIQUE INDEX draw_session_one_draw_idx ON booking.draw_session (municipality, slot_id) WHERE is_kept
    """)
    op.execute(GUARD_PLACE.format(is_kept=" AND s.is_kept"))
    op.execute(GUARD_SESSION)
    op.execute(TRIGGER)
    op.execute(f"GRANT UPDATE (is_kept) ON booking.draw_session TO {role}")


def downgrade() -> None:
    role = application_role(op.get_bind(), "booking")
    op.execute(f"REVOKE UPDATE (is_kept) ON booking.draw_session FROM {role}")
    op.execute("DROP TRIGGER guard_draw_session ON booking.draw_session")
    op.execute("DROP FUNCTION booking.guard_draw_session()")
    op.execute(GUARD_PLACE.format(is_kept=""))
    op.execute("DROP INDEX booking.draw_session_one_draw_idx")
    # The version before knows one draw of a slot: the one that counts, or else any.
    op.execute("""
        DELETE FROM booking.draw_session s USING booking.draw_session o
        WHERE (o.municipality, o.slot_id) = (s.municipality, s.slot_id) AND o.draw_id <> s.draw_id
          AND NOT s.is_kept AND (o.is_kept OR o.draw_id < s.draw_id)
    """)
    op.execute("""
        ALTER TABLE booking.draw_session ADD CONSTRAINT draw_session_municipality_slot_id_key
            UNIQUE (municipality, slot_id)
    """)
    op.execute("ALTER TABLE booking.draw_session DROP COLUMN is_kept")
