"""Racers for one place, over HTTP, on a server as production runs it."""

import asyncio
import contextlib
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import event, text

from services.booking.commands.holds import FREE_PREDICATE, TAKE
from services.booking.commands.marks import MARK_DIRTY
from services.booking.domain.rules import Policy, SlotTaken
from services.booking.flow import Rush
from shared.clock import utc_now
from shared.errors import Refusal
from shared.web.identity import SESSION_COOKIE
from tests.booking.conftest import FAMILY, HOST, TOWN, BookingTown
from tests.serving import serving as serve

RACERS = 500
TIMEOUT_S = 120

_MAKE_VISITS = text("""
    INSERT INTO booking.visit (municipality, visit_id, pass_id, guest_ref, subject_ref, case_id, procedure, reach,
                               passed_at, arrived_at, expires_at)
    SELECT :town, id, id, 'guest-' || id, id, id, :procedure, 'none', :now, :now,
           CAST(:now AS timestamptz) + interval '1 hour'
    FROM unnest(CAST(:ids AS uuid[])) AS id
""")


def serving(town: BookingTown, *, dies: bool = False) -> contextlib.AbstractAsyncContextManager[str]:
    """The web process of booking."""
    return serve("tests.booking.server:app", town.environ, dies=dies)


async def make_visits(town: BookingTown, count: int) -> list[UUID]:
    ids = [uuid4() for _ in range(count)]
    async with town.database.owner_engine("booking").begin() as connection:
        await connection.execute(_MAKE_VISITS, {"town": TOWN, "procedure": FAMILY, "now": town.now, "ids": ids})
    return ids


@pytest.mark.alone
async def test_of_five_hundred_racers_exactly_one_wins_and_the_others_are_offered_alternatives(
    bare_town: BookingTown,
) -> None:
    """Seen to fail without the predicate in the statement: 472 of 500 met the trigger, which is an error of ours.

    Seen without the predicate and without the trigger: 195 won.
    """
    town = bare_town
    town.now = utc_now()
    await town.open()
    slot = (await town.slots("3"))[5]
    visits = await make_visits(town, RACERS)
    tokens = {visit_id: town.token(f"guest-{visit_id}") for visit_id in visits}
    async with (
        serving(town) as url,
        httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=RACERS), trust_env=False
        ) as client,
    ):

        async def race(visit_id: UUID) -> httpx.Response:
            return await client.post(
                "/booking/api/holds",
                json={"slot_id": str(slot.slot_id), "visit_id": str(visit_id)},
                headers={
                    "host": HOST,
                    "cookie": f"{SESSION_COOKIE}={tokens[visit_id]}",
                    "sec-fetch-site": "same-origin",
                },
            )

        answers = await asyncio.gather(*(race(visit_id) for visit_id in visits))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: RACERS - 1}
    lost = [answer.json() for answer in answers if answer.status_code == 409]
    assert all(problem["code"] == "slot_taken" and len(problem["alternatives"]) == 6 for problem in lost)
    held = await town.rows("SELECT count(*) AS n FROM booking.place WHERE hold_id IS NOT NULL")
    assert held[0].n == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("guarded", [True, False], ids=["with_its_predicate", "without_its_predicate"])
async def test_without_its_predicate_the_statement_has_many_winners(bare_town: BookingTown, guarded: bool) -> None:
    """The guard removed, on purpose: the same statement and racers, but any place is free, and no trigger watches.

    With the predicate back, one wins even without the trigger.
    """
    town = bare_town
    await town.open()
    async with town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("DROP TRIGGER guard_place ON booking.place"))
    slot = (await town.slots("3"))[5]
    visits = await make_visits(town, 12)
    take = text(TAKE.format(free=FREE_PREDICATE if guarded else "true", mark=MARK_DIRTY.format(changed="changed")))

    async def race(visit_id: UUID) -> int:
        async with town.db.begin(TOWN) as session:
            values = {
                "municipality": TOWN,
                "visit_id": visit_id,
                "slot_id": slot.slot_id,
                "more": [],
                "owner": f"visit:{visit_id}",
                "key": "k",
                "request_hash": b"x",
                "response": "{}",
                "hold_id": uuid4(),
                "visitor": f"guest-{visit_id}",
                "held_until": town.now.replace(hour=3),
                "now": town.now,
                "settle_at": town.now,
            }
            return int((await session.execute(take, values)).one().taken)

    winners = 0
    for first in range(0, len(visits), 4):
        winners += sum(await asyncio.gather(*(race(visit_id) for visit_id in visits[first : first + 4])))
    if guarded:
        assert winners == 1
    else:
        assert winners > 1


async def test_all_who_lost_share_the_next_look_and_nobody_one_that_had_begun_before(town: BookingTown) -> None:
    """Fails (seen) when a look is shared until it has ended: the late one is told what was free before they lost."""
    slots = await town.slots("3")
    taken, rush, begun = SlotTaken(("3",), Policy()), Rush(), []
    event.listen(town.db.engine.sync_engine, "checkout", lambda *_: begun.append(1))

    def lose() -> asyncio.Task[list[dict[str, Any]]]:
        return asyncio.create_task(rush.alternatives(town.db, TOWN, slots[5].slot_id, taken, now=town.now))

    async with town.database.owner_engine("booking").begin() as owner:
        await owner.execute(text("LOCK TABLE booking.slot"))
        early = [lose() for _ in range(50)]
        async with asyncio.timeout(5):
            while not begun:
                await asyncio.sleep(0.01)
        late = lose()
        await asyncio.sleep(0.1)
    first, *others = await asyncio.gather(*early, late)
    assert len(first) == 6
    assert all(found == first for found in others)
    assert len(begun) == 2


async def test_a_double_submit_makes_one_appointment(town: BookingTown) -> None:
    """Both requests run at once: the second waits on the visit's row and answers the same."""
    visit_id = await town.visit("guest")
    await town.hold(visit_id, "guest", (await town.slots())[0].slot_id)
    answers = await asyncio.gather(*(town.book(visit_id, "guest", key="k") for _ in range(8)))
    assert len({answer.number for answer in answers}) == 1
    rows = await town.rows("SELECT count(*) AS n FROM booking.appointment")
    assert rows[0].n == 1  # type: ignore[attr-defined]


async def test_racing_for_several_places_none_is_given_twice_and_none_is_left(town: BookingTown) -> None:
    slot = (await town.slots())[0]
    guests = [f"g{number}" for number in range(12)]
    visits = {guest: await town.visit(guest) for guest in guests}

    async def race(guest: str) -> bool:
        try:
            await town.hold(visits[guest], guest, slot.slot_id)
        except Refusal as refusal:
            return refusal.code != "slot_taken"
        return True

    assert sum(await asyncio.gather(*(race(guest) for guest in guests))) == 2
