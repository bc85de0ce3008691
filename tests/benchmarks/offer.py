"""A helper is asked → the gateway has the message: bookings at a venue over HTTP, each of which asks somebody else."""

from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from typing import Any
from uuid import uuid4

import msgspec

from services.booking.commands.shifts import AddShift, add_shift
from services.routing.commands.account_contact import SEAL_PURPOSE as CONTACT_PURPOSE
from services.routing.tables import outbox
from shared.clock import JST, utc_now
from shared.crypto import ServiceBox
from shared.db import Database
from shared.events.base import Event
from shared.events.routing import AccountContactChanged, AccountOpened, SealedAccount, SealedContact
from shared.tokens import Identity
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.crowd import bring_visitors
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House
from tests.benchmarks.notices import read_received

# A slot has no more places, and each helper on shift is one.
OFFERS = 40
PER_SECOND = 5
TARGET_S = 2.0
VENUE = "KOMINKAN"
OPENS_MIN, CLOSES_MIN = 9 * 60, 17 * 60
# A night in Japan keeps what can wait for the morning.
BY_DAY = range(8, 21)

_PROCEDURE = "SELECT code FROM booking.procedure WHERE municipality = $1 AND with_helper ORDER BY code LIMIT 1"
_ASKED = """
    SELECT convert_from(payload, 'UTF8')::json ->> 'helper_ref' AS helper_ref, occurred_at FROM booking.outbox
    WHERE type = 'booking.helper_told.v1'
"""


async def measure(house: House) -> list[Figure]:
    """The p95 from the commit that asks a helper to the gateway's having the message."""
    if utc_now().astimezone(JST).hour not in BY_DAY:
        print("offer: by day in Japan only; at night an offer waits for the morning", flush=True)
        return []
    phones = {f"bench-{number:03}": f"+8190{number:08}" for number in range(90_000_000, 90_000_000 + OFFERS)}
    await _open_accounts(house, phones)
    await house.settle()
    await _take_shifts(house, list(phones))
    await house.settle()
    await _book_all(house)
    received = await read_received(house, list(phones.values()))
    asked: dict[str, datetime] = {row["helper_ref"]: row["occurred_at"] for row in await house.rows(_ASKED)}
    took = [(received[phone] - asked[ref]).total_seconds() for ref, phone in phones.items()]
    p95 = percentile(took, 0.95)
    name = f"offer → first message, {OFFERS} helpers asked at {PER_SECOND}/s"
    return [
        make_figure("offer", f"{name}: p95", p95, "s", f"≤ {TARGET_S:g} s", met=p95 <= TARGET_S,
                    note="From `occurred_at` of what the helper is told, just before the booking's commit, to the "
                         "gateway's own time of receipt of the SMS."),
        make_figure("offer", f"{name}: longest", max(took), "s", "", met=None),
    ]  # fmt: skip


async def _open_accounts(house: House, phones: dict[str, str]) -> None:
    """As routing publishes helpers, and by which way each is told things."""
    box = ServiceBox.from_settings(house.environ["CHOUDO_ROUTING_BOX_KEY"], house.environ["CHOUDO_BOX_PUBLIC_KEYS"])
    facts: list[Event] = []
    for ref, phone in phones.items():
        told: dict[str, Any] = {
            "municipality": TOWN,
            "aggregate_id": ref,
            "aggregate_version": 1,
            "occurred_at": utc_now(),
        }
        account = msgspec.msgpack.encode(SealedAccount(display_name=ref))
        contact = msgspec.msgpack.encode(SealedContact(address=phone))
        facts += [
            AccountOpened(
                event_id=uuid4(), account_ref=ref, roles=("helper",), office=None, is_open=True,
                sealed=box.seal_for("booking", "account", account), **told,
            ),
            AccountContactChanged(
                event_id=uuid4(), account_ref=ref, reach="sms", language="ja",
                sealed=box.seal_for("notifications", CONTACT_PURPOSE, contact), **told,
            ),
        ]  # fmt: skip
    db = Database(house.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
    async with db.begin(TOWN) as session:
        await outbox.publish(session, *facts)
    await db.dispose()


async def _take_shifts(house: House, helper_refs: Sequence[str]) -> None:
    """Each of them is at the venue on Wednesdays."""
    db = Database(house.environ["CHOUDO_BOOKING_DATABASE_URL"], service="booking")
    order = AddShift(venue=VENUE, weekday=3, from_min=OPENS_MIN, to_min=CLOSES_MIN)
    for ref in helper_refs:
        who = Identity(municipality=TOWN, kind="helper", ref=ref, session_id=f"s-{ref}", roles=("helper",))
        async with db.begin(TOWN) as session:
            await add_shift(session, who, order, now=utc_now())
    await db.dispose()


async def _book_all(house: House) -> None:
    procedure = (await house.rows(_PROCEDURE, TOWN))[0]["code"]
    visitors = await bring_visitors(
        house.environ, OFFERS, procedure=procedure, municipality=TOWN, now=utc_now(), channel="helper"
    )
    slots = await house.free_slots(VENUE)
    holds = [
        make_request(house.url, "POST", "/booking/api/holds", headers=visitor.headers,
                     body={"slot_id": slot_id, "visit_id": visitor.visit_id})
        for visitor, slot_id in zip(visitors, cycle(slots), strict=False)
    ]  # fmt: skip
    held = await ask_steadily(house.url, holds, per_second=PER_SECOND * 4)
    assert [answer.status for answer in held] == [201] * OFFERS, held[0].body[:500]
    bookings = [
        make_request(house.url, "POST", "/booking/api/appointments", headers=visitor.headers,
                     body={"visit_id": visitor.visit_id})
        for visitor in visitors
    ]  # fmt: skip
    answers = await ask_steadily(house.url, bookings, per_second=PER_SECOND)
    assert [answer.status for answer in answers] == [201] * OFFERS, answers[0].body[:500]
