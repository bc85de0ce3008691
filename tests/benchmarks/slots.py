"""The free slots of a procedure over a month in which 600 appointments are booked, at a steady rate; and beside the
half million appointments of two years."""

from typing import Any
from uuid import uuid4

from services.booking.commands.appointments import BookAppointment, book_appointment
from services.booking.commands.holds import HoldPlace, hold_place
from services.booking.keys import Keys
from services.booking.settings import load_settings
from shared.clock import utc_now
from shared.db import Database
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.crowd import bring_visitors
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

# Counters, and how many of the 600 are there: most at the counter that is asked for.
BOOKED = (("7", 300), ("2", 150), ("5", 150))
PATH = "/booking/api/slots?procedure={}&days=31"
PER_SECOND = 200
SECONDS = 10
WARM_UP = 200
TARGET_MS = 20
# Two years that are over: 14 times a day at each of ten counters, five people in each.
PAST_DAYS, PAST_COUNTERS, PAST_TIMES, PAST_PLACES = 730, 10, 14, 5
PAST_TARGET_MS, PAST_TIMEOUT_S = 30, 300

_COUNTER_PROCEDURE = """
    SELECT code FROM booking.procedure WHERE municipality = $1 AND counters[1] = $2 ORDER BY code LIMIT 1
"""
# Others that are done where CHI02 is: the same times, and a question of their own.
_OTHERS = """
    SELECT code FROM booking.procedure
    WHERE municipality = $1 AND counters = (SELECT counters FROM booking.procedure
                                            WHERE municipality = $1 AND code = 'CHI02')
    ORDER BY code
"""
_BOOKED = "SELECT count(*) AS n FROM booking.appointment WHERE municipality = $1 AND state = 'booked'"
# Without triggers and foreign keys, which hold of what is written here: half a million rows in seconds.
_PAST = f"""
    SET LOCAL session_replication_role = replica;
    CREATE TEMPORARY TABLE past ON COMMIT DROP AS
    SELECT gen_random_uuid() AS slot_id, counters.code AS counter,
           date_trunc('day', now()) - days.n * interval '1 day' + times.n * interval '30 minutes' AS starts_at
    FROM generate_series(1, {PAST_DAYS}) AS days(n), generate_series(0, {PAST_TIMES} - 1) AS times(n),
         (SELECT code FROM booking.counter WHERE municipality = '{TOWN}' AND kind = 'counter'
          ORDER BY code LIMIT {PAST_COUNTERS}) AS counters;
    INSERT INTO booking.slot (municipality, slot_id, counter, starts_at, ends_at, capacity)
    SELECT '{TOWN}', slot_id, counter, starts_at, starts_at + interval '30 minutes', {PAST_PLACES} FROM past;
    CREATE TEMPORARY TABLE seat ON COMMIT DROP AS
    SELECT past.*, gen_random_uuid() AS appointment_id, place_no, row_number() OVER () AS n
    FROM past, generate_series(1, {PAST_PLACES}) AS place_no;
    INSERT INTO booking.place (municipality, slot_id, place_no, capacity, audience, appointment_id, changed_at)
    SELECT '{TOWN}', slot_id, place_no, {PAST_PLACES}, 'public', appointment_id, starts_at FROM seat;
    INSERT INTO booking.appointment
        (municipality, appointment_id, number, kind, state, version, sequence, procedure, counter, office, slot_id,
         place_no, starts_at, ends_at, day, reach, booked_at, changed_at)
    SELECT '{TOWN}', appointment_id, 'past-' || n, 'booked', 'done', 5, 0, 'CHI02', counter, 'past', slot_id, place_no,
           starts_at, starts_at + interval '30 minutes', (starts_at AT TIME ZONE 'Asia/Tokyo')::date, 'none', starts_at,
           starts_at
    FROM seat;
"""
# As they have been since each night: it is not to happen while others are asking.
_VACUUM = "VACUUM (ANALYZE) booking.slot, booking.place, booking.appointment"
_ALL = "SELECT (SELECT count(*) FROM booking.appointment) AS appointments, (SELECT count(*) FROM booking.slot) AS slots"


async def fill_month(house: House) -> int:
    """Book 600 appointments by the product's own commands; return how many there are."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    keys = Keys.from_settings(load_settings(house.environ))
    for counter, count in BOOKED:
        procedure = (await house.rows(_COUNTER_PROCEDURE, TOWN, counter))[0]["code"]
        now = utc_now()
        visitors = await bring_visitors(house.environ, count, procedure=procedure, municipality=TOWN, now=now)
        free = await house.free_slots(counter)
        for number, visitor in enumerate(visitors):
            who: dict[str, Any] = {"municipality": TOWN, "visit_id": visitor.visit_id, "visitor": visitor.guest_ref}
            async with db.begin(TOWN) as session:
                slot_id = free[number % len(free)]
                await hold_place(session, HoldPlace(**who, slot_id=slot_id, key=uuid4().hex), now=now)
                await book_appointment(session, BookAppointment(**who, key=uuid4().hex), keys, now=now)
    await db.dispose()
    return int((await house.rows(_BOOKED, TOWN))[0]["n"])


async def measure(house: House) -> list[Figure]:
    """The p95 of the month's free slots, also beside two years that are over, and of an empty answer at this rate.

    In a rush everybody asks for the same: then answers are shared. Beside it, what it is when nobody shares any.
    """
    booked = await fill_month(house)
    await house.settle()
    month = PATH.format("CHI02")
    others = [PATH.format(row["code"]) for row in await house.rows(_OTHERS, TOWN)]
    asked = await _ask(house, month)
    bare = await _ask(house, "/booking/healthz")
    name = f"free slots of 31 days with {booked} bookings, at {PER_SECOND} req/s"
    figures = _figures(name, asked, bare, target_ms=TARGET_MS)
    apart = f"{name}, of {len(others)} procedures in turn"
    figures += _figures(apart, await _ask(house, *others), bare)
    await house.execute(_PAST, timeout_s=PAST_TIMEOUT_S)
    await house.execute(_VACUUM, timeout_s=PAST_TIMEOUT_S)
    held = (await house.rows(_ALL))[0]
    beside = f"{name}, beside {held['appointments']} appointments and {held['slots']} slots of two years"
    return figures + _figures(beside, await _ask(house, month), bare, target_ms=PAST_TARGET_MS)


def _figures(name: str, asked: list[float], bare: list[float], *, target_ms: int | None = None) -> list[Figure]:
    reference_name = f"GET /booking/healthz at {PER_SECOND}/s"
    p95 = percentile(asked, 0.95)
    return [
        make_figure("slots", f"{name}: p95", p95, "ms", f"≤ {target_ms} ms" if target_ms else "",
                    reference=percentile(bare, 0.95), reference_name=reference_name,
                    met=p95 <= target_ms if target_ms else None),
        make_figure("slots", f"{name}: p50", percentile(asked, 0.5), "ms", "", reference=percentile(bare, 0.5),
                    reference_name=reference_name),
    ]  # fmt: skip


async def _ask(house: House, *paths: str) -> list[float]:
    requests = [make_request(house.url, "GET", path) for path in paths]
    await ask_steadily(house.url, _in_turn(requests, WARM_UP), per_second=PER_SECOND)
    answers = await ask_steadily(house.url, _in_turn(requests, PER_SECOND * SECONDS), per_second=PER_SECOND)
    assert all(answer.status == 200 for answer in answers), answers[0].body[:500]
    return [answer.seconds * 1_000 for answer in answers]


def _in_turn(requests: list[bytes], count: int) -> list[bytes]:
    return [requests[number % len(requests)] for number in range(count)]
