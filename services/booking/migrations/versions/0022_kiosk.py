"""Places for the ticket machine alone; readings of procedures; a part of several days closed; rhythms of shifts."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0022", "0021", None, None

AUDIENCE = "ALTER TABLE booking.place ADD CONSTRAINT place_audience_check CHECK (audience IN ({}))"
# Whatever the application does: what is kept for staff, or closed, is nobody's; and what is kept for the machine in the
# lobby is taken by an appointment that a machine has made, on its day. Nobody holds it.
GUARD = """
CREATE FUNCTION booking.guard_kept_place() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF NEW.audience = 'kiosk' AND NEW.hold_id IS NULL AND EXISTS (
        SELECT 1 FROM booking.appointment a
        JOIN booking.slot s ON (s.municipality, s.slot_id) = (a.municipality, a.slot_id)
        WHERE (a.municipality, a.appointment_id) = (NEW.municipality, NEW.appointment_id)
          AND (a.slot_id, a.place_no) = (NEW.slot_id, NEW.place_no) AND a.kiosk_ref IS NOT NULL
          AND (s.starts_at AT TIME ZONE 'Asia/Tokyo')::date = (NEW.changed_at AT TIME ZONE 'Asia/Tokyo')::date) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the place is kept for others'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'place_guard_kept';
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER guard_kept_place BEFORE UPDATE ON booking.place FOR EACH ROW
    WHEN (NEW.audience IN ('staff', 'kiosk', 'closed')
          AND ((NEW.hold_id IS NOT NULL AND NEW.hold_id IS DISTINCT FROM OLD.hold_id)
               OR (NEW.appointment_id IS NOT NULL AND NEW.appointment_id IS DISTINCT FROM OLD.appointment_id)))
    EXECUTE FUNCTION booking.guard_kept_place()""",
    """CREATE TRIGGER guard_kept_place_made BEFORE INSERT ON booking.place FOR EACH ROW
    WHEN (NEW.audience IN ('staff', 'kiosk', 'closed') AND (NEW.hold_id IS NOT NULL OR NEW.appointment_id IS NOT NULL))
    EXECUTE FUNCTION booking.guard_kept_place()""",
)


def upgrade() -> None:
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_audience_check")
    op.execute(AUDIENCE.format("'public', 'staff', 'kiosk', 'closed', 'draw'"))
    op.execute("ALTER TABLE booking.appointment ADD COLUMN kiosk_ref text")
    op.execute("""
        ALTER TABLE booking.appointment ADD CONSTRAINT appointment_kiosk_knows_nobody_check CHECK (
            kiosk_ref IS NULL OR (visit_id IS NULL AND guest_ref IS NULL AND subject_ref IS NULL))
    """)
    for statement in (GUARD, *TRIGGERS):
        op.execute(statement)
    op.execute("ALTER TABLE booking.procedure ADD COLUMN name_kana text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE booking.counter_version ADD COLUMN own jsonb NOT NULL DEFAULT '{}'")
    op.execute("""
        ALTER TABLE booking.closing ALTER COLUMN during TYPE tstzmultirange USING tstzmultirange(during)
    """)
    op.execute("""
        ALTER TABLE booking.helper_shift
            ADD COLUMN every_weeks integer NOT NULL DEFAULT 1,
            ADD COLUMN nth integer[] NOT NULL DEFAULT '{}',
            ADD COLUMN first_week date,
            ADD CONSTRAINT helper_shift_every_weeks_check
                CHECK (every_weeks BETWEEN 1 AND 4 AND (every_weeks = 1 OR first_week IS NOT NULL)),
            ADD CONSTRAINT helper_shift_nth_check CHECK (nth <@ ARRAY[1, 2, 3, 4, 5])
    """)


def downgrade() -> None:
    # Every week, whatever it was.
    op.execute("ALTER TABLE booking.helper_shift DROP COLUMN every_weeks, DROP COLUMN nth, DROP COLUMN first_week")
    # All of the days, where it was a part of each.
    op.execute("ALTER TABLE booking.closing ALTER COLUMN during TYPE tstzrange USING range_merge(during)")
    op.execute("ALTER TABLE booking.counter_version DROP COLUMN own")
    op.execute("ALTER TABLE booking.procedure DROP COLUMN name_kana")
    op.execute("DROP TRIGGER guard_kept_place_made ON booking.place")
    op.execute("DROP TRIGGER guard_kept_place ON booking.place")
    op.execute("DROP FUNCTION booking.guard_kept_place()")
    op.execute("ALTER TABLE booking.appointment DROP COLUMN kiosk_ref")
    # The version before gives such places out only by staff.
    op.execute("UPDATE booking.place SET audience = 'staff' WHERE audience = 'kiosk'")
    op.execute("ALTER TABLE booking.place DROP CONSTRAINT place_audience_check")
    op.execute(AUDIENCE.format("'public', 'staff', 'closed', 'draw'"))
