"""Appointments that take several places in a row; what is done in one, how many of each, and how long that takes."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0021", "0020", None, None

# With values for all that there are: no rewrite of a table, and the processes of the version before go on writing.
COLUMNS = """
ALTER TABLE booking.procedure
    ADD COLUMN quantity_max integer NOT NULL DEFAULT 1, ADD COLUMN more_min integer NOT NULL DEFAULT 0,
    ADD COLUMN unit text NOT NULL DEFAULT '',
    ADD CONSTRAINT procedure_quantity_check CHECK (quantity_max BETWEEN 1 AND 20 AND more_min >= 0);
ALTER TABLE booking.place
    ADD COLUMN part smallint NOT NULL DEFAULT 1, ADD COLUMN parts smallint NOT NULL DEFAULT 1,
    ADD CONSTRAINT place_part_check CHECK (part BETWEEN 1 AND parts AND parts <= 50);
ALTER TABLE booking.visit
    ADD COLUMN services jsonb, ADD COLUMN minutes integer,
    ADD CONSTRAINT visit_services_check CHECK (
        (services IS NULL) = (minutes IS NULL) AND (minutes IS NULL OR minutes > 0));
ALTER TABLE booking.appointment
    ADD COLUMN services jsonb, ADD COLUMN minutes integer, ADD COLUMN parts smallint NOT NULL DEFAULT 1,
    ADD CONSTRAINT appointment_services_check CHECK (
        (services IS NULL) = (minutes IS NULL) AND (minutes IS NULL OR minutes > 0)),
    ADD CONSTRAINT appointment_parts_check CHECK (
        parts >= 1 AND (parts = 1 OR chain_id IS NULL AND minutes IS NOT NULL));
DROP INDEX booking.place_one_place_per_appointment_idx;
CREATE UNIQUE INDEX place_one_place_per_appointment_idx ON booking.place (municipality, appointment_id, part)
    WHERE appointment_id IS NOT NULL;
DROP INDEX booking.place_one_hold_per_visit_idx;
CREATE UNIQUE INDEX place_one_hold_per_visit_idx ON booking.place (municipality, visit_id, part)
    WHERE hold_id IS NOT NULL;
"""
# To the version before, everybody has one place: their first. What they had of the slots after it is kept for staff, so
# that an appointment still has its time; what was only held is free.
GIVEN_BACK = """
UPDATE booking.place
SET audience = CASE WHEN appointment_id IS NULL THEN audience ELSE 'staff' END,
    appointment_id = NULL, hold_id = NULL, held_by = NULL, held_until = NULL, visit_id = NULL
WHERE part > 1
"""
DROPPED = """
DROP INDEX booking.place_one_hold_per_visit_idx;
CREATE UNIQUE INDEX place_one_hold_per_visit_idx ON booking.place (municipality, visit_id) WHERE hold_id IS NOT NULL;
DROP INDEX booking.place_one_place_per_appointment_idx;
CREATE UNIQUE INDEX place_one_place_per_appointment_idx ON booking.place (municipality, appointment_id)
    WHERE appointment_id IS NOT NULL;
ALTER TABLE booking.appointment
    DROP CONSTRAINT appointment_parts_check, DROP CONSTRAINT appointment_services_check,
    DROP COLUMN parts, DROP COLUMN minutes, DROP COLUMN services;
ALTER TABLE booking.visit DROP CONSTRAINT visit_services_check, DROP COLUMN minutes, DROP COLUMN services;
ALTER TABLE booking.place DROP CONSTRAINT place_part_check, DROP COLUMN parts, DROP COLUMN part;
ALTER TABLE booking.procedure
    DROP CONSTRAINT procedure_quantity_check, DROP COLUMN unit, DROP COLUMN more_min, DROP COLUMN quantity_max;
"""

# As in 0001, and the first lines: what nobody has is part of nothing.
GUARD_PLACE = """
CREATE OR REPLACE FUNCTION booking.guard_place() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    {first}
    IF OLD.appointment_id IS NOT NULL AND NEW.appointment_id IS DISTINCT FROM OLD.appointment_id THEN
        IF NEW.appointment_id IS NOT NULL THEN
            RAISE EXCEPTION 'place is taken by another appointment'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_appointment';
        END IF;
        IF EXISTS (SELECT 1 FROM booking.appointment a
                   WHERE a.municipality = OLD.municipality AND a.appointment_id = OLD.appointment_id
                     AND a.slot_id = OLD.slot_id AND a.place_no = OLD.place_no AND a.state <> 'cancelled') THEN
            RAISE EXCEPTION 'place belongs to a live appointment'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_release';
        END IF;
    END IF;
    IF OLD.hold_id IS NOT NULL AND OLD.held_until > NEW.changed_at
       AND (NEW.hold_id IS NOT NULL OR NEW.appointment_id IS NOT NULL)
       AND NEW.visit_id IS DISTINCT FROM OLD.visit_id THEN
        RAISE EXCEPTION 'place is held by another visit'
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'place_guard_hold';
    END IF;
    RETURN NEW;
END $$
"""
NOBODYS = """IF NEW.hold_id IS NULL AND NEW.appointment_id IS NULL THEN
        NEW.part := 1;
        NEW.parts := 1;
    END IF;"""

# Whatever the application does: who has places in a row has all of them, of one counter, each beginning when the one
# before it ends. Looked at when the transaction commits, because an appointment that moves is in two places on its way.
# A hold is judged by the time that the update brings, as everywhere: what is left of one that has lapsed may be torn.
WHOLE_APPOINTMENT = """
CREATE FUNCTION booking.guard_whole_appointment(town text, whose uuid) RETURNS void LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM booking.appointment a, LATERAL (
            SELECT count(*) AS places, count(DISTINCT r.slot_id) AS slots, count(DISTINCT r.counter) AS counters,
                   min(r.starts_at) AS starts_at, max(r.ends_at) AS ends_at, sum(r.ends_at - r.starts_at) AS lasts,
                   bool_and(r.part = r.rank AND r.parts = a.parts AND r.counter = a.counter) AS in_order,
                   bool_or(r.part = 1 AND r.slot_id = a.slot_id AND r.place_no = a.place_no) AS leads
            FROM (SELECT p.slot_id, p.place_no, p.part, p.parts, s.counter, s.starts_at, s.ends_at,
                         row_number() OVER (ORDER BY s.starts_at) AS rank
                  FROM booking.place p
                  JOIN booking.slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
                  WHERE p.municipality = town AND p.appointment_id = whose) AS r) AS run
        WHERE a.municipality = town AND a.appointment_id = whose AND a.state <> 'cancelled'
          AND (run.places = a.parts AND run.slots = run.places AND run.counters = 1 AND run.in_order AND run.leads
               AND run.lasts = run.ends_at - run.starts_at
               AND (run.starts_at, run.ends_at) = (a.starts_at, a.ends_at)) IS NOT TRUE) THEN
        RAISE EXCEPTION 'an appointment is in all of its places'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'place_guard_whole_appointment';
    END IF;
END $$
"""
WHOLE_HOLD = """
CREATE FUNCTION booking.guard_whole_hold(town text, whose uuid, moment timestamptz) RETURNS void LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM (
            SELECT p.slot_id, p.part, p.parts, p.hold_id, p.held_by, p.held_until, s.counter, s.starts_at, s.ends_at,
                   row_number() OVER (ORDER BY s.starts_at) AS rank
            FROM booking.place p JOIN booking.slot s ON (s.municipality, s.slot_id) = (p.municipality, p.slot_id)
            WHERE p.municipality = town AND p.visit_id = whose AND p.hold_id IS NOT NULL AND p.held_until > moment) AS r
        HAVING count(*) > 0
           AND (count(*) = max(r.parts) AND min(r.parts) = max(r.parts) AND count(DISTINCT r.slot_id) = count(*)
                AND count(DISTINCT r.counter) = 1 AND bool_and(r.part = r.rank)
                AND sum(r.ends_at - r.starts_at) = max(r.ends_at) - min(r.starts_at)
                AND count(DISTINCT r.hold_id) = 1 AND count(DISTINCT r.held_by) = 1
                AND min(r.held_until) = max(r.held_until)) IS NOT TRUE) THEN
        RAISE EXCEPTION 'a hold is in all of its places'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'place_guard_whole_hold';
    END IF;
END $$
"""
OF_PLACE = """
CREATE FUNCTION booking.guard_whole_place() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.appointment_id IS NOT NULL THEN
        PERFORM booking.guard_whole_appointment(OLD.municipality, OLD.appointment_id);
    END IF;
    -- Who removes a place brings no time: what nobody had is all that the application removes.
    IF TG_OP = 'UPDATE' AND OLD.hold_id IS NOT NULL THEN
        PERFORM booking.guard_whole_hold(OLD.municipality, OLD.visit_id, NEW.changed_at);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.appointment_id IS NOT NULL THEN
        PERFORM booking.guard_whole_appointment(NEW.municipality, NEW.appointment_id);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.hold_id IS NOT NULL THEN
        PERFORM booking.guard_whole_hold(NEW.municipality, NEW.visit_id, NEW.changed_at);
    END IF;
    RETURN NULL;
END $$
"""
OF_APPOINTMENT = """
CREATE FUNCTION booking.guard_whole() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    PERFORM booking.guard_whole_appointment(NEW.municipality, NEW.appointment_id);
    RETURN NULL;
END $$
"""
# Whoever takes one place pays for a comparison only.
TRIGGERS = tuple(
    f"""CREATE CONSTRAINT TRIGGER {name} AFTER {when} ON booking.{table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN ({which}) EXECUTE FUNCTION booking.{function}()"""
    for name, when, table, which, function in (
        ("guard_whole_place", "UPDATE", "place", "OLD.parts > 1 OR NEW.parts > 1", "guard_whole_place"),
        ("guard_whole_place_made", "INSERT", "place", "NEW.parts > 1", "guard_whole_place"),
        ("guard_whole_place_gone", "DELETE", "place", "OLD.parts > 1", "guard_whole_place"),
        ("guard_whole", "UPDATE", "appointment", "OLD.parts > 1 OR NEW.parts > 1", "guard_whole"),
        ("guard_whole_made", "INSERT", "appointment", "NEW.parts > 1", "guard_whole"),
    )
)
FUNCTIONS = ("guard_whole()", "guard_whole_place()", "guard_whole_hold(text, uuid, timestamptz)",
             "guard_whole_appointment(text, uuid)")  # fmt: skip


def upgrade() -> None:
    for statement in COLUMNS.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(GUARD_PLACE.format(first=NOBODYS))
    for statement in (WHOLE_APPOINTMENT, WHOLE_HOLD, OF_PLACE, OF_APPOINTMENT, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for name in ("guard_whole_place", "guard_whole_place_made", "guard_whole_place_gone"):
        op.execute(f"DROP TRIGGER {name} ON booking.place")
    for name in ("guard_whole", "guard_whole_made"):
        op.execute(f"DROP TRIGGER {name} ON booking.appointment")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION booking.{function}")
    op.execute(GUARD_PLACE.format(first=""))
    op.execute(GIVEN_BACK)
    for statement in DROPPED.split(";\n"):
        if statement.strip():
            op.execute(statement)
