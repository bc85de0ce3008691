"""What differs at the counters today, alarms of waits, and what reports are made of: each step's own times."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0033", "0032", None, None

COUNTER_DAY = """
CREATE TABLE booking.counter_day (
    municipality text NOT NULL, counter text NOT NULL, day date NOT NULL, is_open boolean NOT NULL,
    staff integer NOT NULL, closed_from timestamptz, changed_at timestamptz NOT NULL, version integer NOT NULL,
    CONSTRAINT counter_day_pkey PRIMARY KEY (municipality, counter, day),
    CONSTRAINT counter_day_closed_check CHECK (is_open = (closed_from IS NULL)),
    CONSTRAINT counter_day_staff_check CHECK (staff BETWEEN 0 AND 50))
"""
WAIT_ALARM = """
CREATE TABLE booking.wait_alarm (
    municipality text NOT NULL, alarm_id uuid NOT NULL, counter text NOT NULL, day date NOT NULL,
    promise_min integer NOT NULL, raised_at timestamptz NOT NULL, over_at timestamptz, seen_at timestamptz,
    seen_by text,
    CONSTRAINT wait_alarm_pkey PRIMARY KEY (municipality, alarm_id),
    CONSTRAINT wait_alarm_seen_check CHECK ((seen_at IS NULL) = (seen_by IS NULL)))
"""
INDEXES = (
    "CREATE UNIQUE INDEX wait_alarm_one_each_idx ON booking.wait_alarm (municipality, counter) WHERE over_at IS NULL",
    "CREATE INDEX wait_alarm_municipality_day_idx ON booking.wait_alarm (municipality, day)",
)
# Who comes into a line and who closes it exclude one another, and whoever is second sees what the first did: the lock
# comes in a statement before the look.
LOCK = "hashtextextended('counter_day/' || {row}.municipality || '/' || {row}.counter, 0)"
CLOSING = f"""
CREATE FUNCTION booking.lock_counter_day() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF NOT NEW.is_open THEN
        PERFORM pg_advisory_xact_lock({LOCK.format(row="NEW")});
    END IF;
    RETURN NEW;
END $$
"""
REFUSE = f"""
        PERFORM pg_advisory_xact_lock_shared({LOCK.format(row="NEW")});
        IF EXISTS (SELECT FROM counter_day c
                   WHERE (c.municipality, c.counter, c.day) = (NEW.municipality, NEW.counter, NEW.day)
                     AND NOT c.is_open) THEN
            RAISE EXCEPTION 'nobody comes into the line of a closed counter'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'counter_closed_guard';
        END IF;
"""
# How somebody came: by the web, on the phone or at the desk of staff who booked for them, or without an appointment.
ARRIVING = f"""
CREATE FUNCTION booking.arrive_appointment() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    NEW.came_by := CASE
        WHEN NEW.kiosk_ref IS NOT NULL THEN 'kiosk'
        WHEN NEW.kind = 'walk_in' THEN 'walk_in'
        ELSE coalesce((SELECT v.behalf FROM visit v
                       WHERE (v.municipality, v.visit_id) = (NEW.municipality, NEW.visit_id)), 'web') END;
    IF NEW.kind = 'walk_in' THEN
        {REFUSE}
    END IF;
    RETURN NEW;
END $$
"""
# How long they waited until they were first called (once for each time that they came into a line; who came early, from
# the time that they booked), walked from the last call to the desk, and were served: at the counter where that was,
# whatever becomes of them there or elsewhere.
# What they were told of the wait may not be known (yet): a column that may not be there is read by its name.
MEASURE = f"""
CREATE FUNCTION booking.measure_line_step() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
DECLARE
    booked_for timestamptz;
    came_at timestamptz := CAST(NEW.before ->> 'queued_at' AS timestamptz);
BEGIN
    SELECT a.procedure, a.came_by, a.starts_at INTO NEW.procedure, NEW.came_by, booked_for FROM appointment a
    WHERE (a.municipality, a.appointment_id) = (NEW.municipality, NEW.appointment_id);
    NEW.from_counter := coalesce(NEW.before ->> 'counter', NEW.counter);
    IF NEW.to_state = 'checked_in'
       AND (NEW.from_state IN ('booked', 'no_show') OR NEW.counter <> NEW.from_counter) THEN
        {REFUSE}
    END IF;
    IF NEW.from_state = 'checked_in' AND NEW.to_state IN ('called', 'serving') AND NOT EXISTS (
            SELECT FROM line_step s
            WHERE (s.municipality, s.appointment_id, s.counter) = (NEW.municipality, NEW.appointment_id, NEW.counter)
              AND NOT s.is_undone AND s.waited_s IS NOT NULL AND s.before ->> 'queued_at' = NEW.before ->> 'queued_at')
    THEN
        NEW.waited_s := greatest(0, extract(epoch FROM NEW.at - greatest(came_at, booked_for)));
        SELECT extract(epoch FROM NEW.at - came_at) - 60 * CAST(to_jsonb(s) ->> 'told_min' AS integer)
        INTO NEW.told_off_s FROM line_step s
        WHERE (s.municipality, s.appointment_id, s.counter) = (NEW.municipality, NEW.appointment_id, NEW.counter)
          AND s.to_state = 'checked_in' AND NOT s.is_undone AND to_jsonb(s) ->> 'told_min' IS NOT NULL
        ORDER BY s.version DESC LIMIT 1;
    END IF;
    IF NEW.from_state = 'called' AND NEW.to_state = 'serving' THEN
        NEW.walked_s := greatest(0, extract(epoch FROM NEW.at - CAST(NEW.before ->> 'called_at' AS timestamptz)));
    END IF;
    IF NEW.from_state = 'serving' AND (NEW.to_state = 'done' OR NEW.counter <> NEW.from_counter) THEN
        NEW.served_s := greatest(0, extract(epoch FROM NEW.at - CAST(NEW.before ->> 'serving_at' AS timestamptz)));
    END IF;
    RETURN NEW;
END $$
"""
# Who is brought back into a line by taking a step back comes into it as well.
RETURNING = """
CREATE FUNCTION booking.return_line_step() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF NEW.is_undone AND NEW.before ->> 'state' = 'checked_in' AND EXISTS (
            SELECT FROM appointment a
            WHERE (a.municipality, a.appointment_id) = (NEW.municipality, NEW.appointment_id)
              AND (a.counter <> NEW.before ->> 'counter' OR a.state NOT IN ('checked_in', 'called', 'serving'))) THEN
        PERFORM pg_advisory_xact_lock_shared(
            hashtextextended('counter_day/' || NEW.municipality || '/' || (NEW.before ->> 'counter'), 0));
        IF EXISTS (SELECT FROM counter_day c
                   WHERE (c.municipality, c.counter, c.day) = (NEW.municipality, NEW.before ->> 'counter', NEW.day)
                     AND NOT c.is_open) THEN
            RAISE EXCEPTION 'nobody comes into the line of a closed counter'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'counter_closed_guard';
        END IF;
    END IF;
    RETURN NEW;
END $$
"""
TRIGGERS = (
    """CREATE TRIGGER lock_counter_day BEFORE INSERT OR UPDATE ON booking.counter_day
       FOR EACH ROW EXECUTE FUNCTION booking.lock_counter_day()""",
    """CREATE TRIGGER arrive_appointment BEFORE INSERT ON booking.appointment
       FOR EACH ROW EXECUTE FUNCTION booking.arrive_appointment()""",
    """CREATE TRIGGER measure_line_step BEFORE INSERT ON booking.line_step
       FOR EACH ROW EXECUTE FUNCTION booking.measure_line_step()""",
    """CREATE TRIGGER return_line_step BEFORE UPDATE ON booking.line_step
       FOR EACH ROW EXECUTE FUNCTION booking.return_line_step()""",
)
# Steps that were taken before are measured as they are now; what was parked and called again counts twice there.
MEASURED_LATE = """
UPDATE booking.line_step s SET
    procedure = a.procedure, came_by = a.came_by, from_counter = coalesce(s.before ->> 'counter', s.counter),
    waited_s = CASE WHEN s.from_state = 'checked_in' AND s.to_state IN ('called', 'serving')
               THEN greatest(0, extract(
                   epoch FROM s.at - greatest(CAST(s.before ->> 'queued_at' AS timestamptz), a.starts_at))) END,
    walked_s = CASE WHEN s.from_state = 'called' AND s.to_state = 'serving'
               THEN greatest(0, extract(epoch FROM s.at - CAST(s.before ->> 'called_at' AS timestamptz))) END,
    served_s = CASE WHEN s.from_state = 'serving' AND s.to_state = 'done'
               THEN greatest(0, extract(epoch FROM s.at - CAST(s.before ->> 'serving_at' AS timestamptz))) END
FROM booking.appointment a
WHERE (a.municipality, a.appointment_id) = (s.municipality, s.appointment_id)
"""
# What a report reads of a year, and nothing beside it.
REPORT_INDEX = """
CREATE INDEX line_step_report_idx ON booking.line_step (municipality, day)
    INCLUDE (counter, from_counter, procedure, came_by, to_state, at, waited_s, walked_s, served_s, told_off_s)
    WHERE NOT is_undone AND (waited_s IS NOT NULL OR walked_s IS NOT NULL OR served_s IS NOT NULL OR to_state = 'done')
"""


def upgrade() -> None:
    for statement in (COUNTER_DAY, WAIT_ALARM, *INDEXES):
        op.execute(statement)
    for table in ("counter_day", "wait_alarm"):
        for statement in row_level_security("booking", table):
            op.execute(statement)
    op.execute("ALTER TABLE booking.appointment ADD COLUMN came_by text")
    op.execute("""
        UPDATE booking.appointment a SET came_by = CASE
            WHEN a.kiosk_ref IS NOT NULL THEN 'kiosk' WHEN a.kind = 'walk_in' THEN 'walk_in'
            ELSE coalesce((SELECT v.behalf FROM booking.visit v
                           WHERE (v.municipality, v.visit_id) = (a.municipality, a.visit_id)), 'web') END
    """)
    op.execute("""
        ALTER TABLE booking.appointment ALTER COLUMN came_by SET NOT NULL,
            ADD CONSTRAINT appointment_came_by_check CHECK (came_by IN ('web', 'phone', 'desk', 'walk_in', 'kiosk'))
    """)
    op.execute("""
        ALTER TABLE booking.line_step ADD COLUMN procedure text, ADD COLUMN came_by text, ADD COLUMN from_counter text,
            ADD COLUMN waited_s integer, ADD COLUMN walked_s integer, ADD COLUMN served_s integer,
            ADD COLUMN told_off_s integer
    """)
    op.execute("ALTER TABLE booking.line_step DISABLE TRIGGER guard_line_step")
    op.execute(MEASURED_LATE)
    op.execute("ALTER TABLE booking.line_step ENABLE TRIGGER guard_line_step")
    for statement in (REPORT_INDEX, CLOSING, ARRIVING, MEASURE, RETURNING, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for trigger, table in (
        ("return_line_step", "line_step"),
        ("measure_line_step", "line_step"),
        ("arrive_appointment", "appointment"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON booking.{table}")
        op.execute(f"DROP FUNCTION booking.{trigger}()")
    op.execute("DROP INDEX booking.line_step_report_idx")
    op.execute("""
        ALTER TABLE booking.line_step DROP COLUMN procedure, DROP COLUMN came_by, DROP COLUMN from_counter,
            DROP COLUMN waited_s, DROP COLUMN walked_s, DROP COLUMN served_s,
            DROP COLUMN told_off_s
    """)
    op.execute("ALTER TABLE booking.appointment DROP COLUMN came_by")
    op.execute("DROP TABLE booking.wait_alarm")
    op.execute("DROP TABLE booking.counter_day")
    op.execute("DROP FUNCTION booking.lock_counter_day()")
