"""Commit → provider called: SMS to a gateway simulator, for bookings made over HTTP."""

import asyncio
import time
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import msgspec

from shared.clock import utc_now
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.crowd import Reach, bring_visitors, give_contacts
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

BOOKINGS = 100
PER_SECOND = 5
TARGET_S = 2.0
ARRIVAL_TIMEOUT_S = 30.0
COUNTER = "4"
# The sink keeps this many; more would push out what we wait for.
SINK_KEEPS = 500
BARE = 50

_PROCEDURE = "SELECT code FROM booking.procedure WHERE municipality = $1 AND counters = ARRAY[$2] ORDER BY code LIMIT 1"
OCCURRED = """
    SELECT aggregate_id, occurred_at FROM booking.outbox
    WHERE type = 'booking.appointment_booked.v1' AND aggregate_id = ANY ($1)
"""


async def measure(house: House) -> list[Figure]:
    """The p99 from a booking's commit to the gateway's having its message, and of a bare call of the gateway."""
    people = [f"+8190{number:08}" for number in range(BOOKINGS)]
    contacts = await give_contacts(house.environ, people, municipality=TOWN)
    await house.settle()
    booked = await book_all(house, contacts)
    received = await read_received(house, people)
    occurred = {
        UUID(row["aggregate_id"]): row["occurred_at"] for row in await house.rows(OCCURRED, list(map(str, booked)))
    }
    took = [
        (received[person] - occurred[appointment_id]).total_seconds()
        for person, appointment_id in zip(people, booked, strict=True)
    ]
    bare = await _call_gateway(house)
    p99 = percentile(took, 0.99)
    name = f"commit → provider called, {BOOKINGS} bookings at {PER_SECOND}/s"
    reference_name = "a bare call of the same gateway"
    return [
        make_figure("notices", f"{name}: p99", p99, "s", f"≤ {TARGET_S:g} s", reference=percentile(bare, 0.99),
                    reference_name=reference_name, met=p99 <= TARGET_S,
                    note="From `occurred_at` of the booking, just before its commit, to the gateway's own time of "
                         "receipt: outbox, relay, queue, consumer, notice, sending loop and the call itself."),
        make_figure("notices", f"{name}: p50", percentile(took, 0.5), "s", "", reference=percentile(bare, 0.5),
                    reference_name=reference_name),
    ]  # fmt: skip


async def book_all(house: House, contacts: list[Reach]) -> list[UUID]:
    """Book for each of them over HTTP, `PER_SECOND`; the appointments' ids."""
    procedure = (await house.rows(_PROCEDURE, TOWN, COUNTER))[0]["code"]
    visitors = await bring_visitors(
        house.environ, len(contacts), procedure=procedure, municipality=TOWN, now=utc_now(), contacts=contacts
    )
    slots = await house.free_slots(COUNTER)
    holds = [
        make_request(house.url, "POST", "/booking/api/holds", headers=visitor.headers,
                     body={"slot_id": slot_id, "visit_id": visitor.visit_id})
        for visitor, slot_id in zip(visitors, slots, strict=False)
    ]  # fmt: skip
    held = await ask_steadily(house.url, holds, per_second=PER_SECOND * 20)
    assert [answer.status for answer in held] == [201] * len(contacts), held[0].body[:500]
    bookings = [
        make_request(house.url, "POST", "/booking/api/appointments", headers=visitor.headers,
                     body={"visit_id": visitor.visit_id})
        for visitor in visitors
    ]  # fmt: skip
    answers = await ask_steadily(house.url, bookings, per_second=PER_SECOND)
    assert [answer.status for answer in answers] == [201] * len(contacts), answers[0].body[:500]
    return [UUID(msgspec.json.decode(answer.body)["appointment_id"]) for answer in answers]


async def read_received(house: House, people: list[str]) -> dict[str, datetime]:
    """When the gateway had the first message to each."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    received: dict[str, datetime] = {}
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while True:
            answer = await client.get(f"{house.stack.sink_url}/messages.json", params={"channel": "sms"})
            # Newest first; the first message to each counts, even when the sink keeps it no longer.
            for message in reversed(answer.json()):
                received.setdefault(_e164(message["to"]), datetime.fromisoformat(message["at"]))
            if all(person in received for person in people):
                return received
            assert time.monotonic() < deadline, f"{len(received)} of {len(people)}\n{house.stack.log_tails()}"
            await asyncio.sleep(0.5)


async def _call_gateway(house: House) -> list[float]:
    headers = {"Authorization": f"Bearer {house.environ['CHOUDO_SMS_GATEWAY_TOKEN']}"}
    calls = [
        make_request(house.stack.sink_url, "POST", "/sms", headers=headers,
                     body={"id": uuid4().hex, "to": "09000000000", "text": "x"})
        for _ in range(BARE)
    ]  # fmt: skip
    answers = await ask_steadily(house.stack.sink_url, calls, per_second=PER_SECOND * 2)
    assert all(answer.status == 200 for answer in answers), answers[0].body[:500]
    return [answer.seconds for answer in answers]


def _e164(number: str) -> str:
    return number if number.startswith("+") else "+81" + number.removeprefix("0")
