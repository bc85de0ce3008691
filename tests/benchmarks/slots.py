"""The free slots of a procedure over a month in which 600 appointments are booked, at a steady rate."""

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
PATH = "/booking/api/slots?procedure=CHI02&days=31"
PER_SECOND = 200
SECONDS = 10
WARM_UP = 200
TARGET_MS = 20

_COUNTER_PROCEDURE = """
    SELECT code FROM booking.procedure WHERE municipality = $1 AND counters[1] = $2 ORDER BY code LIMIT 1
"""
_BOOKED = "SELECT count(*) AS n FROM booking.appointment WHERE municipality = $1 AND state = 'booked'"


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
    """The p95 of the month's free slots, and of an empty answer at the same rate."""
    booked = await fill_month(house)
    await house.settle()
    asked = await _ask(house, PATH)
    bare = await _ask(house, "/booking/healthz")
    reference_name = f"GET /booking/healthz at {PER_SECOND}/s"
    p95 = percentile(asked, 0.95)
    name = f"free slots of 31 days with {booked} bookings, at {PER_SECOND} req/s"
    return [
        make_figure("slots", f"{name}: p95", p95, "ms", f"≤ {TARGET_MS} ms", reference=percentile(bare, 0.95),
                    reference_name=reference_name, met=p95 <= TARGET_MS),
        make_figure("slots", f"{name}: p50", percentile(asked, 0.5), "ms", "", reference=percentile(bare, 0.5),
                    reference_name=reference_name),
    ]  # fmt: skip


async def _ask(house: House, path: str) -> list[float]:
    request = make_request(house.url, "GET", path)
    await ask_steadily(house.url, [request] * WARM_UP, per_second=PER_SECOND)
    answers = await ask_steadily(house.url, [request] * (PER_SECOND * SECONDS), per_second=PER_SECOND)
    assert all(answer.status == 200 for answer in answers), answers[0].body[:500]
    return [answer.seconds * 1_000 for answer in answers]
