"""Reports over a year of a town: 600 people a day at nine counters, with every step of theirs."""

import time as clock
from datetime import date, timedelta
from statistics import median

from services.booking.queries.reports import By, read_report
from shared.clock import jst_day, utc_now
from shared.db import Database
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import House

TOWN = "990011"
PEOPLE_A_DAY, COUNTERS, DAYS = 600, 9, 250
TARGET_MS = 1_500
# Written as a copy is, without triggers: as many days as a town hall is open in a year, one after another.
_PEOPLE = """
    SET session_replication_role = replica;
    INSERT INTO booking.appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, starts_at,
         ends_at, day, reach, came_by, booked_at, changed_at)
    SELECT '{town}', md5('report-' || n)::uuid, 'R' || n, 'walk_in', 'done', 4, 0, 'P' || n % 40,
           (n % {counters})::text, 'office', at, at, CAST(at AT TIME ZONE 'Asia/Tokyo' AS date), 'none', 'walk_in',
           at, at
    FROM (SELECT n, CAST('{first}' AS date) + n / {people} + (n % {people}) * interval '48 s' AS at
          FROM generate_series({start}, {end}) AS n) AS coming
"""
# Called, served and done: each after some minutes.
_STEPS = """
    SET session_replication_role = replica;
    INSERT INTO booking.line_step (municipality, appointment_id, version, action, day, counter, office, from_state,
                                   to_state, at, recorded_at, actor_ref, before, procedure, came_by, from_counter,
                                   waited_s, walked_s, served_s)
    SELECT a.municipality, a.appointment_id, step.version, step.action, a.day, a.counter, a.office, step.before_state,
           step.after_state, a.starts_at + step.after, a.starts_at + step.after, 'bench',
           jsonb_build_object('counter', a.counter, 'queued_at', a.starts_at), a.procedure, a.came_by, a.counter,
           step.waited_s, step.walked_s, step.served_s
    FROM booking.appointment a CROSS JOIN LATERAL (VALUES
        (2, 'call', 'checked_in', 'called', interval '20 min', abs(hashtext(a.number)) % 3600, NULL, NULL),
        (3, 'start', 'called', 'serving', interval '21 min', NULL, abs(hashtext(a.number)) % 90, NULL),
        (4, 'done', 'serving', 'done', interval '30 min', NULL, NULL, abs(hashtext(a.number)) % 1200)
    ) AS step(version, action, before_state, after_state, after, waited_s, walked_s, served_s)
    WHERE a.municipality = '{town}' AND a.day BETWEEN '{first}' AND '{last}'
"""
MONTH_DAYS = 10
GROUPS: tuple[By, ...] = ("day", "counter", "procedure", "came_by")


async def measure(house: House) -> list[Figure]:
    """Milliseconds of one report over the year, by each grouping, and over a day."""
    today = jst_day(utc_now())
    first = today - timedelta(days=DAYS)
    for offset in range(0, DAYS, MONTH_DAYS):
        span = {"town": TOWN, "first": first, "people": PEOPLE_A_DAY, "counters": COUNTERS}
        start, end = offset * PEOPLE_A_DAY, (offset + MONTH_DAYS) * PEOPLE_A_DAY - 1
        await house.execute(_PEOPLE.format(**span, start=start, end=end))
        days = {"first": first + timedelta(days=offset), "last": first + timedelta(days=offset + MONTH_DAYS - 1)}
        await house.execute(_STEPS.format(town=TOWN, **days))
    await house.execute("VACUUM ANALYZE booking.line_step")
    await house.execute("VACUUM ANALYZE booking.appointment")
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    took = {by: await _timed(db, first, today, by) for by in GROUPS}
    day = await _timed(db, today - timedelta(days=30), today - timedelta(days=30), "counter")
    await db.dispose()
    slowest = max(took, key=lambda by: took[by])
    people = f"{PEOPLE_A_DAY * DAYS:,} people"
    return [
        make_figure("reports", f"over a year ({people}), slowest grouping: {slowest}", took[slowest], "ms",
                    f"≤ {TARGET_MS} ms", met=took[slowest] <= TARGET_MS),
        make_figure("reports", "a report of one day", day, "ms", "", note="Medians of three."),
    ]  # fmt: skip


async def _timed(db: Database, first: date, last: date, by: By) -> float:
    times = []
    for _ in range(3):
        began = clock.perf_counter()
        async with db.begin(TOWN) as session:
            await read_report(session, TOWN, first, last, by, promise_min=30, today=last)
        times.append((clock.perf_counter() - began) * 1_000)
    return median(times)
