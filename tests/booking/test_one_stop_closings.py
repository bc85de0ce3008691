"""A closing covers a part of an arrival: the best other way through all of it is kept, and its owner is told once."""

import asyncio
from datetime import date, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from services.booking.commands import closings
from services.booking.commands.appointments import Booked
from services.booking.commands.chain_offers import ChainOffer, find_chain_offer
from services.booking.commands.changes import (
    CancelAppointment,
    ChangeAppointment,
    cancel_appointment,
    change_appointment,
)
from services.booking.commands.moving import MoveChain, move_chain
from services.booking.domain.closings import OFFER_LIFETIME
from services.booking.domain.rules import SlotTaken
from services.booking.queries.slots import start_of_day
from shared.clock import jst_day
from tests.booking.closing_town import close, closure_of, open_again, run_due
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, TownAfter
from tests.booking.one_stop_town import arrive, book, booked, chains, count, hold, open_town, wishes_of
from tests.booking.test_deadlocks import until_somebody_waits
from tests.booking.test_pages import fields_of, go

MONDAY = date(2026, 6, 1)
ELEVEN_MIN, NOON_MIN = 11 * 60, 12 * 60


@pytest.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def chain_id_of(house: BookingTown) -> UUID:
    [row] = await house.rows("SELECT DISTINCT chain_id FROM booking.appointment WHERE chain_id IS NOT NULL")
    chain_id: UUID = row.chain_id  # type: ignore[attr-defined]
    return chain_id


async def offered(house: BookingTown) -> ChainOffer | None:
    async with house.db.begin(TOWN) as session:
        return await find_chain_offer(session, TOWN, await chain_id_of(house), now=house.now)


async def kept(house: BookingTown) -> ChainOffer:
    offer = await offered(house)
    assert offer is not None
    return offer


async def take(house: BookingTown, appointment: Booked, offer: ChainOffer, *, version: int = 2) -> None:
    order = MoveChain(
        municipality=TOWN,
        appointment_id=appointment.appointment_id,
        wishes=wishes_of(offer.chain),
        version=version,
        key=uuid4().hex,
    )
    async with house.db.begin(TOWN) as session:
        await move_chain(session, order, now=house.now)


async def facts(house: BookingTown, *booked: Booked) -> list[tuple[str, str, int, Any]]:
    """What others were told since it was booked: fact, closure, of how many it tells, and the time that is kept."""
    rows = await house.rows(
        """SELECT type, occurred_at, payload FROM booking.outbox
           WHERE aggregate_id = ANY (:ids) AND aggregate_version > 1 ORDER BY occurred_at, aggregate_version""",
        ids=[str(each.appointment_id) for each in booked],
    )
    found = [(row.type.split("_")[1].split(".")[0], msgspec.json.decode(bytes(row.payload))) for row in rows]  # type: ignore[attr-defined]
    told = [
        (name, payload.get("closure", "none"), payload["together"], payload.get("offer_starts_at"))
        for name, payload in found
    ]
    # Those of one deed: first the one that tells of all.
    return [fact for _deed, facts in groupby(told, key=lambda fact: fact[:2]) for fact in sorted(facts, key=_silent)]


def _silent(fact: tuple[str, str, int, Any]) -> bool:
    return fact[2] == 0


async def test_all_of_it_is_kept_elsewhere_and_told_once(house: BookingTown) -> None:
    """Seen to fail with a fact for each part: everybody was told as often as there were counters."""
    made = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    await run_due(house)
    offer = await kept(house)
    # The nearest day to its own, and the best of it: after the move, the allowance.
    assert jst_day(offer.starts_at) == MONDAY + timedelta(days=1)
    assert [part.procedure for part in offer.chain.parts] == [FAMILY, CHILD]
    assert offer.until == house.now + OFFER_LIFETIME or offer.until < offer.starts_at
    at = offer.starts_at.isoformat().replace("+00:00", "Z")
    assert await facts(house, *made) == [("progressed", "asked", 2, at), ("progressed", "asked", 0, None)]
    # Nobody else takes any of it.
    other = await house.visit("other", procedure=FAMILY)
    move = next(part for part in offer.chain.parts if part.procedure == FAMILY)
    with pytest.raises(SlotTaken):
        await house.hold(other, "other", move.slot_id)


async def test_what_is_not_closed_may_stay_and_the_rest_comes_on_the_same_day(house: BookingTown) -> None:
    """Seen to fail where the times that one has are not looked at: another day was offered, or a wait of hours."""
    move, child = await booked(house)
    await close(house, day=MONDAY, from_min=ELEVEN_MIN, to_min=NOON_MIN)
    await run_due(house)
    offer = await kept(house)
    assert (offer.starts_at, list(offer.offers)) == (move.starts_at, [CHILD])
    assert await count(house, "offered_place") == 1
    assert (await closure_of(house, move), await closure_of(house, child)) == (("booked", "none"), ("booked", "asked"))
    await take(house, move, offer, version=1)
    assert await closure_of(house, child) == ("booked", "none")
    rows = await house.rows("SELECT procedure, version, starts_at FROM booking.appointment ORDER BY starts_at")
    assert [(row.procedure, row.version) for row in rows] == [(FAMILY, 1), (CHILD, 3)]  # type: ignore[attr-defined]
    assert rows[1].starts_at == offer.chain.parts[1].starts_at  # type: ignore[attr-defined]


async def test_taken_with_one_touch_everything_has_moved(house: BookingTown) -> None:
    made = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    offer = await kept(house)
    async with house.browser() as browser:
        path = f"/booking/appointments/{made[1].number}"
        page = await browser.get(path)
        assert "かわりの時間をおさえてあります" in page.text
        assert "（休みになりました）" in page.text
        taken = await go(browser, await browser.post(f"{path}/move", data=fields_of(page.text, f"{path}/move")))
        assert "日時を変えました" in taken.text
    rows = await house.rows("SELECT slot_id, closure, closing_id FROM booking.appointment ORDER BY starts_at")
    assert [tuple(row) for row in rows] == [(part.slot_id, "none", None) for part in offer.chain.parts]  # type: ignore[arg-type]
    states = await house.rows("SELECT state FROM booking.offered_place")
    assert [row.state for row in states] == ["taken", "taken"]  # type: ignore[attr-defined]
    assert await count(house, "place WHERE appointment_id IS NOT NULL") == 2
    assert await count(house, "place WHERE hold_id IS NOT NULL") == 0
    assert [(name, n) for name, _, n, _ in await facts(house, *made)][-2:] == [("changed", 2), ("changed", 0)]
    house.now += timedelta(hours=25)
    await run_due(house)
    assert await count(house, "appointment WHERE closure = 'none'") == 2


async def test_unanswered_it_lapses_as_a_whole_and_staff_are_asked_once(house: BookingTown) -> None:
    made = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    house.now = (await kept(house)).until
    await run_due(house)
    assert await count(house, "appointment WHERE closure = 'staff'") == 2
    assert await count(house, "place WHERE hold_id IS NOT NULL") == 0
    told = [fact for fact in await facts(house, *made) if fact[1] == "staff"]
    assert told == [("progressed", "staff", 2, None), ("progressed", "staff", 0, None)]


@pytest.mark.parametrize("instead", ["moved", "cancelled"])
async def test_one_part_goes_its_own_way_and_nothing_is_kept_of_the_whole(house: BookingTown, instead: str) -> None:
    """Seen to fail where only the part's own place is given back. The rest is not forgotten."""
    move, child = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    mine = {"municipality": TOWN, "version": 2, "key": "k"}
    slot = (await house.slots("7", day=MONDAY + timedelta(days=2)))[0]
    async with house.db.begin(TOWN) as session:
        if instead == "cancelled":
            cancel = CancelAppointment(appointment_id=move.appointment_id, **mine)  # type: ignore[arg-type]
            await cancel_appointment(session, cancel, now=house.now)
        else:
            change = ChangeAppointment(appointment_id=child.appointment_id, slot_id=slot.slot_id, **mine)  # type: ignore[arg-type]
            await change_appointment(session, change, now=house.now)
    assert await offered(house) is None
    assert await count(house, "place WHERE hold_id IS NOT NULL") == 0
    house.now += OFFER_LIFETIME
    await run_due(house)
    left = child if instead == "cancelled" else move
    assert await closure_of(house, left) == ("booked", "staff")


async def test_who_was_served_is_done_with_and_the_rest_is_kept(house: BookingTown) -> None:
    move, child = await booked(house)
    house.now = move.starts_at
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(
            text("UPDATE booking.appointment SET state = 'serving', serving_at = :now WHERE appointment_id = :id"),
            {"now": house.now, "id": move.appointment_id},
        )
    await close(house, day=MONDAY, from_min=ELEVEN_MIN, to_min=NOON_MIN)
    await run_due(house)
    offer = await kept(house)
    assert [part.procedure for part in offer.chain.parts] == [CHILD]
    await take(house, child, offer)
    assert (await closure_of(house, move), await closure_of(house, child)) == (("serving", "none"), ("booked", "none"))


async def test_when_a_part_of_what_is_kept_closes_too_all_of_it_is_kept_anew(house: BookingTown) -> None:
    made = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    first = await kept(house)
    await close(house, counter="3", day=jst_day(first.starts_at))
    # Until it is seen to, nothing of it can be taken.
    assert await offered(house) is None
    await run_due(house)
    second = await kept(house)
    assert jst_day(second.starts_at) > jst_day(first.starts_at)
    states = await house.rows("SELECT state, count(*) AS n FROM booking.offered_place GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in states] == [("open", 2), ("withdrawn", 2)]  # type: ignore[arg-type]
    assert sorted(n for _, _, n, _ in await facts(house, *made)) == [0, 0, 2, 2]
    # What was asked first does not end what was asked last.
    house.now = first.until
    await run_due(house)
    assert (await offered(house) is None) == (second.until <= house.now)


async def test_reopened_it_stands_as_it_was_told_once(house: BookingTown) -> None:
    made = await booked(house)
    closing_id = await close(house, counter=None, day=MONDAY)
    await run_due(house)
    await open_again(house, closing_id)
    await run_due(house)
    assert await count(house, "appointment WHERE closure = 'none'") == 2
    assert await count(house, "place WHERE hold_id IS NOT NULL") == 0
    assert [n for _, closure, n, _ in await facts(house, *made) if closure == "none"] == [2, 0]


async def test_where_no_way_is_left_they_are_told_and_staff_follow(house: BookingTown) -> None:
    made = await booked(house)
    async with house.database.owner_engine("booking").begin() as connection:
        await connection.execute(
            text("UPDATE booking.slot SET withdrawn = true WHERE counter = '3' AND starts_at > :now"),
            {"now": start_of_day(MONDAY + timedelta(days=1))},
        )
    await close(house, counter="3", day=MONDAY)
    await run_due(house)
    assert await offered(house) is None
    assert await facts(house, *made) == [("progressed", "asked", 2, None)]
    house.now += OFFER_LIFETIME
    await run_due(house)
    assert await closure_of(house, made[0]) == ("booked", "staff")


async def test_closing_and_taking_what_it_closes_wait_in_one_direction_only(
    house: BookingTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail (a deadlock) where the closing locks the appointments whose offers it takes back."""
    made = await booked(house)
    await close(house, counter=None, day=MONDAY)
    await run_due(house)
    offer = await kept(house)
    taking: list[asyncio.Task[None]] = []
    take_back = closings._take_back_offers

    async def with_somebody_who_waits(session: Any, times: dict[str, Any]) -> Any:
        # Here the closing has its places, and no more.
        taking.append(asyncio.create_task(take(house, made[0], offer)))
        await until_somebody_waits(house)
        return await take_back(session, times)

    monkeypatch.setattr(closings, "_take_back_offers", with_somebody_who_waits)
    await close(house, counter=None, day=jst_day(offer.starts_at))
    # Who was later finds it closed.
    with pytest.raises(Exception, match=r"slot_taken|slot_closed|slot_unknown|nobody is served"):
        await taking[0]


async def test_changing_asks_for_what_one_has_before_what_one_wants(house: BookingTown) -> None:
    """Seen to fail (a deadlock) where the new place is taken first: a closing locks the two in their order."""
    mine = await house.booked("alone", slot=3)
    [row] = await house.rows("SELECT slot_id FROM booking.appointment")
    old, new = row.slot_id, (await house.slots("7"))[6].slot_id  # type: ignore[attr-defined]
    lock = text("SELECT 1 FROM place WHERE municipality = :town AND slot_id = :slot ORDER BY place_no FOR UPDATE")
    order = ChangeAppointment(municipality=TOWN, appointment_id=mine.appointment_id, slot_id=new, version=1, key="k")

    async def change() -> None:
        async with house.db.begin(TOWN) as session:
            await change_appointment(session, order, now=house.now)

    async with house.db.begin(TOWN) as closing:
        await closing.execute(lock, {"town": TOWN, "slot": old})
        changing = asyncio.create_task(change())
        await until_somebody_waits(house)
        await closing.execute(lock, {"town": TOWN, "slot": new})
    await changing
    assert await count(house, "appointment WHERE version = 2") == 1


async def test_booking_an_arrival_asks_for_its_places_in_their_order(house: BookingTown) -> None:
    """Seen to fail (a deadlock) without `lock_places` in `book_chain`: its places were locked as their times come."""
    visit_id = await arrive(house)
    best = (await chains(house, visit_id))[0]
    await hold(house, visit_id, wishes_of(best))
    low, high = sorted((part.slot_id for part in best.parts), key=lambda slot_id: slot_id.bytes)
    lock = text("SELECT 1 FROM place WHERE municipality = :town AND slot_id = :slot ORDER BY place_no FOR UPDATE")
    async with house.db.begin(TOWN) as closing:
        await closing.execute(lock, {"town": TOWN, "slot": low})
        booking = asyncio.create_task(book(house, visit_id))
        await until_somebody_waits(house)
        await closing.execute(lock, {"town": TOWN, "slot": high})
    assert len(await booking) == 2
