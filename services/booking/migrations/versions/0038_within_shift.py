"""A helper is asked within a shift of theirs, or a coordinator has said otherwise; and a helper may pause."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0038", "0036", None, None

# As `domain/opening.py: comes_round` says it in Python: in these weeks something is on this day, if on its weekday.
COMES_ROUND = """
CREATE FUNCTION booking.comes_round(day date, every_weeks integer, nth integer[], first_week date) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (cardinality(nth) = 0 OR (extract(day FROM day)::integer - 1) / 7 + 1 = ANY (nth))
       AND (every_weeks = 1 OR first_week IS NULL OR (
            SELECT weeks >= 0 AND weeks % every_weeks = 0
            FROM (SELECT ((day - extract(isodow FROM day)::integer)
                          - (first_week - extract(isodow FROM first_week)::integer)) / 7) AS since(weeks)))
$$
"""
# As `domain/shifts.py: count_helpers` counts: a shift covers the whole time, which does not reach past midnight.
IS_ON_SHIFT = """
CREATE FUNCTION booking.is_on_shift(town text, helper text, at_venue text, during tstzrange) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = booking, pg_catalog AS $$
    SELECT EXISTS (
        SELECT 1
        FROM (SELECT lower(during) AT TIME ZONE 'Asia/Tokyo', upper(during) - lower(during)) AS visit(begins, lasts),
             LATERAL (SELECT begins::date, extract(epoch FROM begins::time) / 60) AS starting(day, minute),
             helper_shift s
        WHERE s.municipality = town AND s.helper_ref = helper AND s.venue = at_venue
          AND s.weekday = extract(isodow FROM day) AND s.from_min <= minute
          AND minute + extract(epoch FROM lasts) / 60 <= s.to_min
          AND comes_round(day, s.every_weeks, s.nth, s.first_week))
$$
"""
# What was promised stays when the shift goes: only who is asked anew, or for another time, has to be on shift.
GUARD = """
CREATE FUNCTION booking.guard_assignment() RETURNS trigger LANGUAGE plpgsql
    SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state IN ('asked', 'accepted')
       AND (NEW.appointment_id, NEW.helper_ref, NEW.during, NEW.overrides_shift)
           IS NOT DISTINCT FROM (OLD.appointment_id, OLD.helper_ref, OLD.during, OLD.overrides_shift) THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM appointment a
        WHERE (a.municipality, a.appointment_id) = (NEW.municipality, NEW.appointment_id)
          AND is_on_shift(NEW.municipality, NEW.helper_ref, a.counter, NEW.during)) THEN
        RAISE EXCEPTION 'the helper has no shift there then'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'assignment_within_shift';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_assignment BEFORE INSERT OR UPDATE ON booking.assignment FOR EACH ROW
    WHEN (NEW.state IN ('asked', 'accepted') AND NOT NEW.overrides_shift)
    EXECUTE FUNCTION booking.guard_assignment()
"""


def upgrade() -> None:
    # Since when a helper takes nothing on, until they say otherwise.
    op.execute("ALTER TABLE booking.helper ADD COLUMN paused_on date")
    for statement in (COMES_ROUND, IS_ON_SHIFT, GUARD, TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER guard_assignment ON booking.assignment")
    op.execute("DROP FUNCTION booking.guard_assignment()")
    op.execute("DROP FUNCTION booking.is_on_shift(text, text, text, tstzrange)")
    op.execute("DROP FUNCTION booking.comes_round(date, integer, integer[], date)")
    op.execute("ALTER TABLE booking.helper DROP COLUMN paused_on")
