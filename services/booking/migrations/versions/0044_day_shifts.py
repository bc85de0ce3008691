"""A helper is at a venue on one day, beyond their rhythm; and all who are free are asked to fill a gap."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "0044", "0043", None, None

# A rhythm stands at a day that nobody lives to see, and not at -infinity: the index subtracts days once it has pages.
SHIFTS = (
    """
    ALTER TABLE booking.helper_shift
        ADD COLUMN only_on date,
        ADD CONSTRAINT helper_shift_only_on_check
            CHECK (only_on IS NULL
                   OR weekday = extract(isodow FROM only_on) AND every_weeks = 1 AND nth = '{}' AND first_week IS NULL),
        DROP CONSTRAINT helper_shift_no_overlap_excl,
        ADD CONSTRAINT helper_shift_no_overlap_excl EXCLUDE USING gist (
            municipality WITH =, helper_ref WITH =, weekday WITH =, coalesce(only_on, '0001-01-01'::date) WITH =,
            int4range(from_min, to_min) WITH &&)
    """,
    # The one place that knows on which days a shift is; as `domain/shifts.py: Shift.is_on` says it in Python. Without a
    # search path of its own, so that the planner sees through it.
    """
    CREATE FUNCTION booking.shifts_on(town text, day date) RETURNS SETOF booking.helper_shift
        LANGUAGE sql STABLE AS $$
        SELECT s.* FROM booking.helper_shift s
        WHERE s.municipality = town AND s.weekday = extract(isodow FROM day)
          AND (s.only_on = day
               OR s.only_on IS NULL AND booking.comes_round(day, s.every_weeks, s.nth, s.first_week))
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION booking.is_on_shift(town text, helper text, at_venue text, during tstzrange)
        RETURNS boolean LANGUAGE sql STABLE SET search_path = booking, pg_catalog AS $$
        SELECT EXISTS (
            SELECT 1
            FROM (SELECT lower(during) AT TIME ZONE 'Asia/Tokyo',
                         upper(during) - lower(during)) AS visit(begins, lasts),
                 LATERAL (SELECT begins::date, extract(epoch FROM begins::time) / 60) AS starting(day, minute),
                 LATERAL shifts_on(town, day) s
            WHERE s.helper_ref = helper AND s.venue = at_venue AND s.from_min <= minute
              AND minute + extract(epoch FROM lasts) / 60 <= s.to_min)
    $$
    """,
    # A rhythm and a single day of it: an exclusion cannot say in which weeks. The helper's row is locked, so that two
    # who add at once see each other.
    """
    CREATE FUNCTION booking.guard_shift_days() RETURNS trigger LANGUAGE plpgsql
        SET search_path = booking, pg_catalog AS $$
    BEGIN
        PERFORM 1 FROM helper h
        WHERE (h.municipality, h.helper_ref) = (NEW.municipality, NEW.helper_ref) FOR NO KEY UPDATE;
        IF EXISTS (
            SELECT 1 FROM helper_shift o
            WHERE o.municipality = NEW.municipality AND o.helper_ref = NEW.helper_ref AND o.weekday = NEW.weekday
              AND o.from_min < NEW.to_min AND NEW.from_min < o.to_min
              AND CASE WHEN NEW.only_on IS NOT NULL AND o.only_on IS NULL
                           THEN comes_round(NEW.only_on, o.every_weeks, o.nth, o.first_week)
                       WHEN NEW.only_on IS NULL AND o.only_on IS NOT NULL
                           THEN comes_round(o.only_on, NEW.every_weeks, NEW.nth, NEW.first_week)
                       ELSE false END) THEN
            RAISE EXCEPTION 'the helper has another time on that day'
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'helper_shift_one_place_a_day';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER guard_shift_days BEFORE INSERT OR UPDATE ON booking.helper_shift
    FOR EACH ROW EXECUTE FUNCTION booking.guard_shift_days()
    """,
)
# A cover is of a visit, or of a time at a venue in which nobody is.
GAPS = """
    ALTER TABLE booking.cover
        ALTER COLUMN appointment_id DROP NOT NULL,
        ALTER COLUMN former_ref DROP NOT NULL,
        ADD COLUMN venue text,
        ADD COLUMN starts_at timestamptz,
        ADD COLUMN ends_at timestamptz,
        ADD CONSTRAINT cover_of_one_thing_check
            CHECK (num_nonnulls(appointment_id, former_ref) IN (0, 2)
                   AND num_nonnulls(venue, starts_at, ends_at) IN (0, 3)
                   AND (appointment_id IS NULL) <> (venue IS NULL) AND (venue IS NULL OR starts_at < ends_at)),
        ADD CONSTRAINT cover_one_open_gap_excl EXCLUDE USING gist (
            municipality WITH =, venue WITH =, tstzrange(starts_at, ends_at) WITH &&)
            WHERE (state = 'open' AND venue IS NOT NULL)
"""
NO_GAPS = (
    """
    DELETE FROM booking.cover_ask k USING booking.cover c
    WHERE (c.municipality, c.cover_id) = (k.municipality, k.cover_id) AND c.venue IS NOT NULL
    """,
    "DELETE FROM booking.cover WHERE venue IS NOT NULL",
    """
    ALTER TABLE booking.cover
        DROP CONSTRAINT cover_one_open_gap_excl,
        DROP CONSTRAINT cover_of_one_thing_check,
        DROP COLUMN venue, DROP COLUMN starts_at, DROP COLUMN ends_at,
        ALTER COLUMN appointment_id SET NOT NULL,
        ALTER COLUMN former_ref SET NOT NULL
    """,
)
NO_DAYS = (
    "DROP TRIGGER guard_shift_days ON booking.helper_shift",
    "DROP FUNCTION booking.guard_shift_days()",
    # As it was in 0038.
    """
    CREATE OR REPLACE FUNCTION booking.is_on_shift(town text, helper text, at_venue text, during tstzrange)
        RETURNS boolean LANGUAGE sql STABLE SET search_path = booking, pg_catalog AS $$
        SELECT EXISTS (
            SELECT 1
            FROM (SELECT lower(during) AT TIME ZONE 'Asia/Tokyo',
                         upper(during) - lower(during)) AS visit(begins, lasts),
                 LATERAL (SELECT begins::date, extract(epoch FROM begins::time) / 60) AS starting(day, minute),
                 helper_shift s
            WHERE s.municipality = town AND s.helper_ref = helper AND s.venue = at_venue
              AND s.weekday = extract(isodow FROM day) AND s.from_min <= minute
              AND minute + extract(epoch FROM lasts) / 60 <= s.to_min
              AND comes_round(day, s.every_weeks, s.nth, s.first_week))
    $$
    """,
    "DROP FUNCTION booking.shifts_on(text, date)",
    "DELETE FROM booking.helper_shift WHERE only_on IS NOT NULL",
    """
    ALTER TABLE booking.helper_shift
        DROP CONSTRAINT helper_shift_no_overlap_excl,
        DROP COLUMN only_on,
        ADD CONSTRAINT helper_shift_no_overlap_excl EXCLUDE USING gist (
            municipality WITH =, helper_ref WITH =, weekday WITH =, int4range(from_min, to_min) WITH &&)
    """,
)


def upgrade() -> None:
    for statement in (*SHIFTS, GAPS):
        op.execute(statement)


def downgrade() -> None:
    for statement in (*NO_GAPS, *NO_DAYS):
        op.execute(statement)
