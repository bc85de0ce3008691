"""「あと3人」: told once, when others have gone on; not who has just come, not who was told, not who has no contact."""

from datetime import timedelta
from typing import Any

import msgspec

from shared.events.booking import TurnNear
from tests.booking.conftest import BookingTown
from tests.booking.queue_town import arrive, next_please, open_town, row_of, take, walk_in

TYPE = "booking.turn_near.v1"


async def told(town: BookingTown) -> list[TurnNear]:
    rows: list[Any] = await town.rows(
        "SELECT payload FROM booking.outbox WHERE type = :type ORDER BY occurred_at, event_id", type=TYPE
    )
    return [msgspec.json.decode(row.payload, type=TurnNear) for row in rows]


async def test_told_once_when_so_many_are_left(bare_town: BookingTown) -> None:
    """Seen to fail without `near_turn_at`: each call tells them again."""
    town = bare_town
    await open_town(town, places=6)
    before = [await walk_in(town) for _ in range(4)]
    town.now += timedelta(minutes=1)
    # Their time is past: as the town has it, they are next after those whose time it is, before who walked in.
    mine = await town.booked()
    await arrive(town, mine.number)
    assert await told(town) == []
    await next_please(town)
    [event] = await told(town)
    assert (event.appointment_id, event.before, event.counter) == (mine.appointment_id, 3, "7")
    assert event.ticket == "7-005"
    called = await next_please(town)
    await take(town, called, "undo")
    await next_please(town)
    assert len(await told(town)) == 1
    assert len(before) == 4


async def test_who_was_sent_on_is_told_again_there(bare_town: BookingTown) -> None:
    """Seen to fail where `near_turn_at` stays: at the next counter nobody tells them."""
    await open_town(bare_town)
    mine = await bare_town.booked()
    await arrive(bare_town, mine.number)
    assert (await row_of(bare_town, mine.appointment_id)).near_turn_at == bare_town.now
    async with bare_town.browser("all", kind="staff", roles=("counter",)) as staff:
        fields = {"version": "2", "to": "3", "reason": "other", "note": "こちらへ"}
        await staff.post(f"/counter/{mine.appointment_id}/transfer", data=fields)
    assert (await row_of(bare_town, mine.appointment_id)).counter == "3"
    assert [(event.counter, event.before) for event in await told(bare_town)] == [("3", 0)]


async def test_who_checked_in_without_network_is_not_at_the_desk_any_more(bare_town: BookingTown) -> None:
    """Seen to fail where each check-in counts as told there."""
    await open_town(bare_town)
    mine = await bare_town.booked()
    pressed = bare_town.now + timedelta(minutes=1)
    bare_town.now += timedelta(minutes=9)
    step = {"key": "k", "action": "check-in", "at": pressed.isoformat(), "number": mine.number}
    async with bare_town.browser("all", kind="staff", roles=("counter",)) as staff:
        [merged] = (await staff.post("/booking/api/line/merge", json={"steps": [step]})).json()
    assert merged["is_merged"], merged
    assert [event.before for event in await told(bare_town)] == [0]


async def test_who_comes_to_a_short_line_was_told_at_the_desk(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    await walk_in(town)
    await walk_in(town)
    mine = await town.booked()
    await arrive(town, mine.number)
    await next_please(town)
    assert await told(town) == []


async def test_whoever_left_no_contact_is_told_by_the_board(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town)
    for _ in range(4):
        await walk_in(town)
    mine = await town.booked(contact_ref=None, reach="none")
    await arrive(town, mine.number)
    await next_please(town)
    assert await told(town) == []


async def test_any_step_before_them_counts_and_a_town_may_tell_nobody(bare_town: BookingTown) -> None:
    """Seen to fail where only calls are looked at: the one before them was set aside."""
    town = bare_town
    await open_town(town, near_turn=1)
    first, second = await walk_in(town), await walk_in(town)
    mine = await town.booked()
    await arrive(town, mine.number)
    assert await told(town) == []
    await take(town, first, "park")
    assert [event.before for event in await told(town)] == [1]
    await take(town, second, "call")
    await take(town, second, "no-show")
    assert len(await told(town)) == 1


async def test_zero_is_never(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town, near_turn=0)
    await walk_in(town)
    mine = await town.booked()
    await arrive(town, mine.number)
    await next_please(town)
    assert await told(town) == []
