"""Commit → provider called, while ten thousand events in bulk wait and the gateway takes its time for each message."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx

from services.booking.tables import outbox
from shared.clock import utc_now
from shared.db import Database
from shared.events.booking import AppointmentBooked
from tests.benchmarks.crowd import Reach, give_contacts
from tests.benchmarks.figures import Figure, make_figure
from tests.benchmarks.house import TOWN, House
from tests.benchmarks.notices import COUNTER, OCCURRED, TARGET_S, book_all, read_received

IN_BULK, AT_ONCE = 10_000, 500
PERSON_IN_BULK = "+817000000000"
BOOKINGS = 40
SLOW_S = 0.5

_WAITING = "SELECT count(*) AS n FROM notifications.due WHERE kind = 'send_bulk'"


async def measure(house: House) -> list[Figure]:
    """The longest of all confirmations, from its booking's commit to the gateway's having it."""
    people = [f"+8180{number:08}" for number in range(BOOKINGS)]
    *contacts, in_bulk = await give_contacts(house.environ, [*people, PERSON_IN_BULK], municipality=TOWN)
    await house.settle()
    async with httpx.AsyncClient(base_url=house.stack.sink_url, timeout=10, trust_env=False) as client:
        slow = {"channel": "sms", "mode": "slow", "times": 10_000, "slow_s": SLOW_S}
        (await client.post("/behaviour", json=slow)).raise_for_status()
        await _tell_in_bulk(house, in_bulk)
        # Some wait for their gateway, most still for their consumer: the bookings meet both.
        while await _waiting(house) < IN_BULK // 20:
            await asyncio.sleep(0.1)
        receiving = asyncio.create_task(read_received(house, people))
        booked = await book_all(house, contacts)
        received = await receiving
        waiting = await _waiting(house)
        await house.settle()
        await house.execute("DELETE FROM notifications.due WHERE kind = 'send_bulk'")
        (await client.post("/behaviour", json=slow | {"mode": "ok"})).raise_for_status()
    rows = await house.rows(OCCURRED, list(map(str, booked)))
    occurred = {UUID(row["aggregate_id"]): row["occurred_at"] for row in rows}
    worst = max(
        (received[person] - occurred[appointment_id]).total_seconds()
        for person, appointment_id in zip(people, booked, strict=True)
    )
    name = f"commit → provider called, beside {IN_BULK:,} events in bulk and a gateway that takes {SLOW_S:g} s: longest"
    return [
        make_figure("bulk", name, worst, "s", f"≤ {TARGET_S:g} s", met=worst <= TARGET_S,
                    note=f"Of {BOOKINGS} bookings; {waiting:,} notices in bulk waited for the gateway when the last "
                         "had gone out. Bulk has a queue, claims and connections of its own (`docs/decisions/0016`)."),
    ]  # fmt: skip


async def _waiting(house: House) -> int:
    return int((await house.rows(_WAITING))[0]["n"])


async def _tell_in_bulk(house: House, reach: Reach) -> None:
    """As after one mass action of booking's: each of these appointments is told of, and nobody waits for it."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    for _ in range(IN_BULK // AT_ONCE):
        async with db.begin(TOWN) as session:
            await outbox.publish(session, *(_booked(reach, utc_now()) for _ in range(AT_ONCE)), bulk=True)
    await db.dispose()


def _booked(reach: Reach, now: datetime) -> AppointmentBooked:
    appointment_id = uuid4()
    return AppointmentBooked(
        event_id=uuid4(),
        municipality=TOWN,
        aggregate_id=str(appointment_id),
        aggregate_version=1,
        occurred_at=now,
        appointment_id=appointment_id,
        number="BBB2222",
        subject_ref=reach.subject_ref,
        contact_ref=reach.contact_ref,
        case_id=None,
        procedure="RES01",
        office="戸籍",
        counter=COUNTER,
        starts_at=now + timedelta(days=3),
        ends_at=now + timedelta(days=3, minutes=20),
        state="booked",
        sequence=0,
    )
