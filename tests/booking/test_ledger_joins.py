"""A booking and its ledger entry are one: a kill, a replay or a double tap leaves both, once, or neither."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.clock import utc_now
from shared.faults import VARIABLE, Step
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import HOST, BookingTown
from tests.booking.test_race import serving

WRITTEN = """
    SELECT (SELECT count(*) FROM booking.appointment) AS appointments,
           (SELECT count(*) FROM booking.ledger_entry WHERE entry_type = 'applied') AS entries,
           (SELECT count(*) FROM booking.outbox WHERE type = 'ledger.reuse_recorded.v1') AS told
"""
# Of the requests' transactions: what they look up first, and the booking itself.
PASSES_MOST = 8


async def written(town: BookingTown) -> tuple[int, int, int]:
    row: Any = (await town.rows(WRITTEN))[0]
    return row.appointments, row.entries, row.told


async def held_visit(town: BookingTown) -> UUID:
    visit_id = await town.visit("guest")
    slot = next(slot for slot in await town.slots() if slot.free)
    await town.hold(visit_id, "guest", slot.slot_id)
    return visit_id


async def post_booking(town: BookingTown, url: str, visit_id: UUID) -> int | None:
    """The answer's status; None if the process died over it."""
    headers = {"host": HOST, "sec-fetch-site": "same-origin", "cookie": f"{SESSION_COOKIE}={town.token()}"}
    async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
        try:
            path = f"{url}/booking/api/appointments"
            return (await browser.post(path, json={"visit_id": str(visit_id)}, headers=headers)).status_code
        except httpx.TransportError:
            return None


@pytest.mark.parametrize("step", ["transaction.written", "transaction.committed"])
async def test_a_kill_between_booking_and_ledger_leaves_neither_or_both(bare_town: BookingTown, step: Step) -> None:
    """A web process dies at one transaction after the other, until somebody gets their booking.

    Seen to fail with the entry in a transaction of its own: killed in between, the appointment's use stays unwritten.
    """
    town = bare_town
    town.now = utc_now()
    await town.open()
    visit_id = await held_visit(town)
    seen = []
    for passes in range(1, PASSES_MOST):
        async with serving(replace(town, environ=town.environ | {VARIABLE: f"{step}:{passes}"}), dies=True) as url:
            status = await post_booking(town, url, visit_id)
        seen.append(await written(town))
        if status == httpx.codes.CREATED:
            break
    assert set(seen) <= {(0, 0, 0), (1, 2, 2)}
    assert seen[0] == (0, 0, 0), "somebody died before"
    assert seen[-1] == (1, 2, 2), "and somebody booked"


async def test_a_pass_and_a_booking_sent_again_and_at_once_make_one_entry(town: BookingTown) -> None:
    """Seen to fail with the visit not locked while it is booked: the database refuses the others, with an error."""
    ticket = town.make_pass("guest")
    sealed = town.seal(ticket)
    async with town.browser() as browser:
        arrived = await asyncio.gather(*(browser.post("/booking/arrive", data={"pass": sealed}) for _ in range(4)))
        [path] = {answer.headers["location"] for answer in arrived}
        visit_id = UUID(path.rpartition("/")[2].partition("?")[0])
        slot = next(slot for slot in await town.slots() if slot.free)
        order = {"slot_id": str(slot.slot_id), "visit_id": str(visit_id)}
        await asyncio.gather(*(browser.post("/booking/api/holds", json=order) for _ in range(4)))
        booking = {"visit_id": str(visit_id)}
        booked = await asyncio.gather(
            *(
                browser.post("/booking/api/appointments", json=booking, headers={"idempotency-key": key})
                for key in "aabb"
            )
        )
        assert {answer.status_code for answer in booked} == {httpx.codes.CREATED}
        assert len({answer.json()["number"] for answer in booked}) == 1
        await browser.post("/booking/arrive", data={"pass": sealed})
        await browser.post("/booking/api/appointments", json=booking)
    # Name and kana were approved each by itself.
    assert await written(town) == (1, 2, 2)
