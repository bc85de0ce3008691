"""Opening rules in versions, published ahead; and what each day's slots were made from."""

from alembic import op

from shared.db import row_level_security

revision, down_revision, branch_labels, depends_on = "0013", "0012", None, None

TABLES = """
CREATE TABLE booking.opening_rule (
    municipality text NOT NULL, counter text NOT NULL, version integer NOT NULL, valid_from date NOT NULL,
    rule jsonb NOT NULL, origin text NOT NULL, published_by text NOT NULL, published_at timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CONSTRAINT opening_rule_pkey PRIMARY KEY (municipality, counter, version),
    CONSTRAINT opening_rule_version_check CHECK (version >= 1),
    CONSTRAINT opening_rule_origin_check CHECK (origin IN ('pack', 'staff')));
CREATE UNIQUE INDEX opening_rule_valid_from_idx ON booking.opening_rule (municipality, counter, valid_from)
    WHERE withdrawn_at IS NULL;
CREATE TABLE booking.opened_day (
    municipality text NOT NULL, counter text NOT NULL, day date NOT NULL, plan text NOT NULL,
    CONSTRAINT opened_day_pkey PRIMARY KEY (municipality, counter, day));
"""
# Time is the application's argument: it stands in `published_at` and `withdrawn_at` of the very row.
GUARD = """
CREATE FUNCTION booking.guard_opening_rule() RETURNS trigger
    LANGUAGE plpgsql SET search_path = booking, pg_catalog AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a published version is not removed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'opening_rule_guard_delete';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.withdrawn_at IS NOT NULL
           OR (NEW.valid_from <= (NEW.published_at AT TIME ZONE 'Asia/Tokyo')::date
               AND EXISTS (SELECT 1 FROM booking.opening_rule o
                           WHERE o.municipality = NEW.municipality AND o.counter = NEW.counter)) THEN
            RAISE EXCEPTION 'a version is published ahead of its day'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'opening_rule_guard_ahead';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.withdrawn_at IS NOT NULL OR NEW.withdrawn_at IS NULL
       OR (NEW.municipality, NEW.counter, NEW.version, NEW.valid_from, NEW.rule, NEW.origin, NEW.published_by,
           NEW.published_at)
          IS DISTINCT FROM (OLD.municipality, OLD.counter, OLD.version, OLD.valid_from, OLD.rule, OLD.origin,
                            OLD.published_by, OLD.published_at) THEN
        RAISE EXCEPTION 'a published version is not changed'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'opening_rule_guard_update';
    END IF;
    IF NEW.withdrawn_at < OLD.published_at
       OR OLD.valid_from <= (NEW.withdrawn_at AT TIME ZONE 'Asia/Tokyo')::date THEN
        RAISE EXCEPTION 'a version whose day has come is not withdrawn'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'opening_rule_guard_open';
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER guard_opening_rule BEFORE INSERT OR UPDATE OR DELETE ON booking.opening_rule
    FOR EACH ROW EXECUTE FUNCTION booking.guard_opening_rule()
"""
# What counters have now is their first version. Since when, nobody wrote down: it counts from today.
FIRST_VERSIONS = """
INSERT INTO booking.opening_rule
    (municipality, counter, version, valid_from, rule, origin, published_by, published_at)
SELECT c.municipality, c.counter, 1, (now() AT TIME ZONE 'Asia/Tokyo')::date,
       jsonb_build_object('slot_min', c.slot_min, 'places', c.places, 'staff_only_places', c.staff_only_places,
                          'week', coalesce(week.hours, '[]')),
       'pack', 'operator', now()
FROM booking.counter_rule c, LATERAL (
    SELECT jsonb_agg(jsonb_build_object('weekday', day.weekday, 'hours', day.hours) ORDER BY day.weekday) AS hours
    FROM (SELECT w.weekday::integer AS weekday,
                 jsonb_agg(jsonb_build_object('opens_at', span.opens_at, 'closes_at', span.closes_at)
                           ORDER BY span.opens_at) AS hours
          FROM jsonb_array_elements(c.hours) AS rule(h), jsonb_array_elements_text(rule.h -> 'weekdays') AS w(weekday),
               LATERAL (
                   SELECT rule.h ->> 'opens_at', coalesce(rule.h ->> 'lunch_from', rule.h ->> 'closes_at')
                   UNION ALL
                   SELECT rule.h ->> 'lunch_to', rule.h ->> 'closes_at' WHERE rule.h ->> 'lunch_to' IS NOT NULL
               ) AS span(opens_at, closes_at)
          GROUP BY w.weekday) AS day) AS week
"""
LEAVE = """
ALTER TABLE booking.counter_rule DROP CONSTRAINT counter_rule_staff_only_places_check;
ALTER TABLE booking.counter_rule DROP COLUMN slot_min, DROP COLUMN places, DROP COLUMN staff_only_places,
    DROP COLUMN hours;
"""
# The same constraint by time first: a horizon of slots is made in three quarters of the time.
BY_TIME = """
ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl;
ALTER TABLE booking.slot ADD CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist
    (municipality WITH =, tstzrange(starts_at, ends_at) WITH &&, counter WITH =);
"""
BY_COUNTER = """
ALTER TABLE booking.slot DROP CONSTRAINT slot_no_overlap_excl;
ALTER TABLE booking.slot ADD CONSTRAINT slot_no_overlap_excl EXCLUDE USING gist
    (municipality WITH =, counter WITH =, tstzrange(starts_at, ends_at) WITH &&);
"""
RETURN = """
ALTER TABLE booking.counter_rule ADD COLUMN slot_min integer, ADD COLUMN places integer,
    ADD COLUMN staff_only_places integer, ADD COLUMN hours jsonb;
UPDATE booking.counter_rule c
SET slot_min = (o.rule ->> 'slot_min')::integer, places = (o.rule ->> 'places')::integer,
    staff_only_places = (o.rule ->> 'staff_only_places')::integer,
    hours = coalesce((SELECT jsonb_agg(jsonb_build_object('weekdays', jsonb_build_array(w.day -> 'weekday'),
                                                          'opens_at', span.h -> 'opens_at',
                                                          'closes_at', span.h -> 'closes_at'))
                      FROM jsonb_array_elements(o.rule -> 'week') AS w(day),
                           jsonb_array_elements(w.day -> 'hours') AS span(h)), '[]')
FROM booking.opening_rule o
WHERE (o.municipality, o.counter) = (c.municipality, c.counter)
  AND o.version = (SELECT max(x.version) FROM booking.opening_rule x
                   WHERE (x.municipality, x.counter) = (c.municipality, c.counter) AND x.withdrawn_at IS NULL);
ALTER TABLE booking.counter_rule ALTER COLUMN slot_min SET NOT NULL, ALTER COLUMN places SET NOT NULL,
    ALTER COLUMN staff_only_places SET NOT NULL, ALTER COLUMN hours SET NOT NULL;
ALTER TABLE booking.counter_rule ADD CONSTRAINT counter_rule_staff_only_places_check
    CHECK (staff_only_places BETWEEN 0 AND places);
"""


def upgrade() -> None:
    _run(TABLES)
    op.execute(FIRST_VERSIONS)
    op.execute(GUARD)
    op.execute(TRIGGER)
    for table in ("opening_rule", "opened_day"):
        for statement in row_level_security("booking", table):
            op.execute(statement)
    _run(LEAVE)
    _run(BY_TIME)


def downgrade() -> None:
    _run(BY_COUNTER)
    _run(RETURN)
    op.execute("DROP TABLE booking.opened_day")
    op.execute("DROP TABLE booking.opening_rule")
    op.execute("DROP FUNCTION booking.guard_opening_rule()")


def _run(script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            op.execute(statement)
