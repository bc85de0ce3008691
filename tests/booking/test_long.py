"""Appointments that take several places in a row: held, booked, moved, cancelled and closed as one, or not at all."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from services.booking.commands.closings import on_closing_due
from services.booking.commands.erasure import erase_subject
from services.booking.commands.offers import find_offer
from services.booking.commands.visits import arrive
from services.booking.domain.opening import Hours
from services.booking.domain.services import MINUTES_MAX, Service
from services.booking.queries.free import list_days, list_next_free
from services.booking.queries.rules import get_rules
from services.booking.queries.runs import Need
from services.booking.queries.slots import list_alternatives
from shared.clock import JST
from shared.errors import Refusal
from shared.events.base import Event
from shared.events.booking import AppointmentBooked, AppointmentChanged, BookedService
from tests.booking.closing_town import close
from tests.booking.conftest import CHILD, FAMILY, TOWN, BookingTown, TownAfter
from tests.booking.long_town import (
    CARE,
    THREE,
    TWO,
    assert_whole,
    booked_at,
    cancel,
    choose,
    long_slots,
    long_visit,
    move,
    open_town,
    publish_catalogue,
    slot_at,
    taken,
)
from tests.booking.opening_town import TUESDAY, make_rule, preview, publish
from tests.booking.test_kiosk import book_here

MONDAY = date(2026, 6, 1)


@pytest_asyncio.fixture
async def house(town_after: TownAfter) -> BookingTown:
    return await town_after(open_town)


async def refused(code: str, work: Any) -> Refusal:
    with pytest.raises(Refusal) as raised:
        await work
    assert raised.value.code == code
    return raised.value


async def events(town: BookingTown, kind: type[Event]) -> list[Any]:
    rows = await town.rows("SELECT payload FROM booking.outbox WHERE type = :type ORDER BY aggregate_version",
                           type=kind.__struct_config__.tag)  # fmt: skip
    return [msgspec.json.decode(bytes(row.payload), type=kind) for row in rows]  # type: ignore[attr-defined]


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 6, 1, hour, minute, tzinfo=JST)


async def test_three_of_a_thing_have_three_places_in_a_row_from_holding_to_cancelling(house: BookingTown) -> None:
    visit_id = await long_visit(house)
    hold = await house.hold(visit_id, "guest", await slot_at(house, 10))
    assert (hold.starts_at, hold.ends_at) == (at(10), at(11, 30))
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    again = await house.hold(visit_id, "guest", await slot_at(house, 10))
    assert again.hold_id == hold.hold_id
    booked = await house.book(visit_id, "guest")
    assert (booked.starts_at, booked.ends_at) == (at(10), at(11, 30))
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    (told,) = await events(house, AppointmentBooked)
    assert (told.procedure, told.minutes, told.ends_at) == (CHILD, 70, at(11, 30))
    assert told.services == (BookedService(procedure=CHILD, quantity=3),)
    await assert_whole(house)
    await cancel(house, booked.appointment_id)
    assert await taken(house) == []
    rows = await house.rows("SELECT DISTINCT part, parts FROM booking.place")
    assert [tuple(row) for row in rows] == [(1, 1)]  # type: ignore[arg-type]


async def test_one_procedure_once_is_a_place_as_it_was(house: BookingTown) -> None:
    visit_id = await long_visit(house, services=(Service(CHILD),))
    await house.hold(visit_id, "guest", await slot_at(house, 10))
    await house.book(visit_id, "guest")
    assert await taken(house) == ["10:00 1/1"]
    rows = await house.rows("SELECT services, minutes, parts FROM booking.appointment")
    assert [tuple(row) for row in rows] == [(None, None, 1)]  # type: ignore[arg-type]


async def test_who_gets_not_all_of_it_gets_nothing_and_keeps_what_they_had(house: BookingTown) -> None:
    """Seen to fail without the comparison of counts in `TAKE`: the trigger meets two places of three."""
    for guest in ("a", "b"):
        await house.hold(await house.visit(guest), guest, await slot_at(house, 11))
    visit_id = await long_visit(house)
    mine = await house.hold(visit_id, "guest", await slot_at(house, 14))
    taken_before = await taken(house)
    lost = await refused("slot_taken", house.hold(visit_id, "guest", await slot_at(house, 10)))
    assert lost.minutes == 70  # type: ignore[attr-defined]
    assert await taken(house) == taken_before
    assert (await house.hold(visit_id, "guest", await slot_at(house, 14))).hold_id == mine.hold_id


async def test_a_time_that_overlaps_the_one_that_is_held_can_be_held_instead(house: BookingTown) -> None:
    visit_id = await long_visit(house)
    for hour, minute in ((10, 0), (10, 30), (9, 30), (11, 0)):
        await house.hold(visit_id, "guest", await slot_at(house, hour, minute))
        await assert_whole(house)
    assert await taken(house) == ["11:00 1/3", "11:30 2/3", "12:00 3/3"]


async def test_times_end_with_the_day_and_with_the_break(bare_town: BookingTown) -> None:
    """Never across a break: 11:30 is followed by 13:00. Two slots cover an hour exactly, and not a minute more."""
    town = bare_town
    await open_town(town, lunch=True)
    halves = {slot.starts_at.astimezone(JST).strftime("%H:%M"): slot for slot in await long_slots(town, 60)}
    assert list(halves) == [
        "09:30",
        "10:00",
        "10:30",
        "11:00",
        *(f"{h}:{m}" for h in (13, 14, 15) for m in ("00", "30")),
        "16:00",
    ]
    assert halves["11:00"].ends_at == at(12)
    more = [slot.starts_at for slot in await long_slots(town, 61)]
    assert at(11) not in more
    assert at(16) not in more
    assert at(10, 30) in more
    assert at(15, 30) in more
    visit_id = await long_visit(town)
    for hour, minute in ((11, 0), (11, 30), (16, 0), (16, 30)):
        await refused("slot_too_short", town.hold(visit_id, "guest", await slot_at(town, hour, minute)))
    assert await taken(town) == []
    assert (await town.hold(visit_id, "guest", await slot_at(town, 15, 30))).ends_at == at(17)


async def test_month_list_earliest_and_alternatives_count_times_that_fit(house: BookingTown) -> None:
    # At 10:00 one of two places is gone; at 12:00 both.
    await house.hold(await house.visit("x"), "x", await slot_at(house, 10))
    for guest in ("a", "b"):
        await house.hold(await house.visit(guest), guest, await slot_at(house, 12))
    times = {slot.starts_at: slot.free for slot in await long_slots(house, 70)}
    assert [times[at(9, 30)], times[at(10, 30)], times[at(11)], times[at(12)], times[at(12, 30)]] == [1, 2, 0, 0, 2]
    assert at(16) not in times
    need = Need(minutes=70)
    async with house.db.begin(TOWN) as session:
        policy = (await get_rules(session, TOWN)).policy
        today = (await list_days(session, TOWN, ["7"], policy, first=at(0).date(), last=at(0).date(), need=need,
                                 now=house.now))[at(0).date()]  # fmt: skip
        following = await list_next_free(session, TOWN, ["7"], policy, most=4, need=need, now=house.now)
        wanted = await slot_at(house, 11)
        near = await list_alternatives(session, TOWN, wanted, ["7"], policy, need=need, now=house.now)
    assert (today.places, today.free) == (15, len([slot for slot in times.values() if slot]))
    assert [(slot.starts_at, slot.free) for slot in following] == [
        (at(9, 30), 1), (at(10), 1), (at(10, 30), 2), (at(12, 30), 2)
    ]  # fmt: skip
    assert following[0].ends_at == at(11)
    assert [found.starts_at for found in near] == [at(10, 30), at(10), at(9, 30), at(12, 30), at(13), at(13, 30)]


async def test_changing_what_is_done_keeps_the_time_while_it_fits(house: BookingTown) -> None:
    visit_id = await long_visit(house, services=TWO)
    await house.hold(visit_id, "guest", await slot_at(house, 10))
    await choose(house, visit_id, *THREE)
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    await choose(house, visit_id, Service(CHILD))
    assert await taken(house) == ["10:00 1/1"]
    await choose(house, visit_id, Service(CHILD), Service(CARE))
    assert await taken(house) == ["10:00 1/2", "10:30 2/2"]
    for guest in ("a", "b"):
        await house.hold(await house.visit(guest), guest, await slot_at(house, 11))
    before = await taken(house)
    await refused("services_no_room", choose(house, visit_id, *THREE))
    assert await taken(house) == before
    booked = await house.book(visit_id, "guest")
    assert booked.ends_at == at(11)
    rows = await house.rows("SELECT minutes, services FROM booking.appointment")
    assert rows[0].minutes == 45  # type: ignore[attr-defined]
    await assert_whole(house)


async def test_two_short_ones_fit_into_one_place(house: BookingTown) -> None:
    await publish_catalogue(house, version=3, minutes=10)
    booked = await booked_at(house, 10, services=(Service(CHILD), Service(CARE)))
    assert booked.ends_at == at(10, 30)
    assert await taken(house) == ["10:00 1/1"]


@pytest.mark.parametrize(
    ("services", "code"),
    [
        ((Service(CHILD, 5),), "services_unfit"),
        ((Service(CHILD, 0),), "services_unfit"),
        ((Service(CARE), Service(CHILD)), "services_unfit"),
        ((Service(CHILD), Service(CHILD)), "services_unfit"),
        ((Service(CHILD), Service(FAMILY)), "services_unfit"),
        ((Service(CHILD), Service("NONE")), "services_unfit"),
        ((), "services_unfit"),
    ],
)
async def test_what_cannot_be_done_together_is_refused(
    house: BookingTown, services: tuple[Service, ...], code: str
) -> None:
    visit_id = await house.visit("guest")
    await refused(code, choose(house, visit_id, *services))


async def test_nothing_is_longer_than_half_a_day(house: BookingTown) -> None:
    await publish_catalogue(house, version=3, more_min=MINUTES_MAX - 30)
    visit_id = await house.visit("guest")
    await choose(house, visit_id, Service(CHILD, 2))
    await refused("services_too_long", choose(house, visit_id, Service(CHILD, 2), Service(CARE)))


async def test_neither_a_visit_for_everything_nor_a_helper_takes_several(house: BookingTown) -> None:
    chain = await house.visit("guest", procedure=FAMILY, errands=(CHILD,))
    await refused("services_of_chain", choose(house, chain, Service(FAMILY)))
    helped = await house.visit("guest", channel="helper")
    await refused("services_with_helper", choose(house, helped, *TWO))
    await refused("visit_unknown", choose(house, await house.visit("other"), *TWO))


async def test_when_the_catalogue_forgets_part_of_it_they_choose_again(house: BookingTown) -> None:
    visit_id = await long_visit(house, services=(Service(CHILD), Service(CARE)))
    await publish_catalogue(house, version=3, counters=("3",))
    await refused("services_unfit", house.hold(visit_id, "guest", await slot_at(house, 10)))


async def test_an_appointment_moves_as_a_whole_also_into_the_middle_of_itself(house: BookingTown) -> None:
    """Seen to fail without `_FREE_REST`: the unique index keeps an appointment from having two second places."""
    booked = await booked_at(house, 10)
    for version, (hour, minute) in enumerate(((10, 30), (10, 0), (11, 0), (14, 0)), start=1):
        await move(house, booked.appointment_id, await slot_at(house, hour, minute), version, key=f"k{version}")
        await assert_whole(house)
    assert await taken(house) == ["14:00 1/3", "14:30 2/3", "15:00 3/3"]
    told = await events(house, AppointmentChanged)
    assert told[-1].ends_at == at(15, 30)
    assert told[-1].minutes == 70


async def test_an_appointment_that_does_not_fit_stays_where_it_was(house: BookingTown) -> None:
    booked = await booked_at(house, 10)
    for guest in ("a", "b"):
        await house.hold(await house.visit(guest), guest, await slot_at(house, 12))
    before = await taken(house)
    await refused("slot_taken", move(house, booked.appointment_id, await slot_at(house, 11), key="a"))
    await refused("slot_too_short", move(house, booked.appointment_id, await slot_at(house, 16), key="b"))
    assert await taken(house) == before
    # What it has itself is in nobody's way.
    await move(house, booked.appointment_id, await slot_at(house, 10, 30), key="c")
    await assert_whole(house)


async def test_what_is_left_of_a_lapsed_time_is_free_and_books_nothing(house: BookingTown) -> None:
    visit_id = await long_visit(house)
    await house.hold(visit_id, "guest", await slot_at(house, 10))
    house.now += timedelta(minutes=10)
    await house.hold(await house.visit("short"), "short", await slot_at(house, 10, 30))
    await refused("hold_expired", house.book(visit_id, "guest"))
    assert await taken(house) == ["10:30 1/1"]
    other = await long_visit(house, "long")
    await house.hold(other, "long", await slot_at(house, 10))
    await assert_whole(house)
    await house.hold(visit_id, "guest", await slot_at(house, 14))
    await assert_whole(house)


async def test_it_counts_once_among_what_somebody_may_have_ahead(bare_town: BookingTown) -> None:
    await open_town(bare_town, max_open_appointments=2)
    await booked_at(bare_town, 10)
    await booked_at(bare_town, 14)
    visit_id = await long_visit(bare_town)
    await bare_town.hold(visit_id, "guest", await slot_at(bare_town, 11))
    await refused("too_many_appointments", bare_town.book(visit_id, "guest"))


async def test_a_closing_of_any_part_moves_all_of_it_to_a_time_that_is_long_enough(house: BookingTown) -> None:
    """Seen to fail with the holds of the closed time alone: the trigger refuses the closing."""
    booked = await booked_at(house, 10)
    held = await long_visit(house, "held")
    await house.hold(held, "held", await slot_at(house, 9, 30))
    closing_id = await close(house, day=MONDAY, from_min=645, to_min=675)
    # A hold of which one part is closed is given back; nothing of it is left.
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    async with house.db.begin(TOWN) as session:
        await on_closing_due(session, TOWN, str(closing_id), house.now)
    async with house.db.begin(TOWN) as session:
        offer = await find_offer(session, TOWN, booked.appointment_id, now=house.now)
    assert offer is not None
    # Not before people can have answered.
    assert (offer.starts_at, offer.ends_at) == (at(13, 30), at(15))
    await assert_whole(house)
    await move(house, booked.appointment_id, offer.slot_id, version=2)
    assert await taken(house) == ["13:30 1/3", "14:00 2/3", "14:30 3/3"]
    await assert_whole(house)


async def test_an_offer_of_which_a_part_is_closed_is_taken_back(house: BookingTown) -> None:
    booked = await booked_at(house, 10)
    closing_id = await close(house, day=MONDAY, from_min=600, to_min=630)
    async with house.db.begin(TOWN) as session:
        await on_closing_due(session, TOWN, str(closing_id), house.now)
        offer = await find_offer(session, TOWN, booked.appointment_id, now=house.now)
    assert offer is not None
    assert (offer.starts_at, offer.ends_at) == (at(13, 30), at(15))
    await close(house, day=MONDAY, from_min=840, to_min=870)
    async with house.db.begin(TOWN) as session:
        assert await find_offer(session, TOWN, booked.appointment_id, now=house.now) is None
    await assert_whole(house)


async def test_new_rules_leave_every_part_where_it_is_and_name_the_conflict(house: BookingTown) -> None:
    visit_id = await long_visit(house)
    await house.hold(visit_id, "guest", await slot_at(house, 10, day=2))
    booked = await house.book(visit_id, "guest")
    rule = make_rule(hours=(Hours(time(8, 30), time(11)),))
    assert [found.number for found in (await preview(house, rule, TUESDAY)).conflicts] == [booked.number]
    same = make_rule(hours=(Hours(time(8, 30), time(11, 30)),))
    assert (await preview(house, same, TUESDAY)).conflicts == ()
    await publish(house, rule)
    assert await taken(house) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    await assert_whole(house)


async def test_erasing_somebody_forgets_their_visit_in_every_place(house: BookingTown) -> None:
    booked = await booked_at(house, 10)
    rows = await house.rows("SELECT subject_ref FROM booking.appointment")
    house.now = booked.ends_at + timedelta(days=1)
    async with house.db.begin(TOWN) as session:
        await erase_subject(session, TOWN, rows[0].subject_ref, "resident", now=house.now)  # type: ignore[attr-defined]
    left = await house.rows("SELECT count(*) AS n FROM booking.place WHERE visit_id IS NOT NULL")
    assert left[0].n == 0  # type: ignore[attr-defined]


async def test_what_is_left_of_a_lapsed_hold_is_one_place_at_the_machine(bare_town: BookingTown) -> None:
    """Seen to fail where the machine's appointment stays part two of three: the database refuses it."""
    town = bare_town
    await open_town(town, places=1)
    await town.hold(await long_visit(town), "guest", await slot_at(town, 10))
    assert await taken(town) == ["10:00 1/3", "10:30 2/3", "11:00 3/3"]
    town.now += timedelta(hours=1)
    await book_here(town, await slot_at(town, 10, 30))
    assert await taken(town) == ["10:30 1/1"]
    await assert_whole(town)


async def test_a_procedure_that_takes_longer_than_a_slot_has_as_many_as_it_needs(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town, slot_min=15)
    visit_id = await town.visit("guest")
    hold = await town.hold(visit_id, "guest", await slot_at(town, 10))
    assert hold.ends_at == at(10, 30)
    assert await taken(town) == ["10:00 1/2", "10:15 2/2"]
    await choose(town, visit_id, *TWO)
    assert await taken(town) == ["10:00 1/4", "10:15 2/4", "10:30 3/4", "10:45 4/4"]
    await choose(town, visit_id, Service(CHILD))
    assert (await town.book(visit_id, "guest")).ends_at == at(10, 30)
    await assert_whole(town)


async def test_the_public_times_of_such_a_procedure_are_long_enough(bare_town: BookingTown) -> None:
    town = bare_town
    await open_town(town, slot_min=15)
    async with town.browser(None) as anybody:
        answer = await anybody.get("/booking/api/slots", params={"procedure": CHILD, "days": 1})
    ends = [datetime.fromisoformat(slot["ends_at"]) for slot in answer.json()]
    assert ends[0] == at(10)
    assert ends[-1] == at(17)
    assert len(ends) == len(set(ends)) == 29


async def test_who_comes_again_with_another_pass_need_not_choose_again(house: BookingTown) -> None:
    ticket = house.make_pass("guest")

    async def come() -> UUID:
        async with house.db.begin(TOWN) as session:
            another = msgspec.structs.replace(ticket, pass_id=uuid4())
            return await arrive(session, another, "guest", house.keys, now=house.now)

    await choose(house, await come(), *THREE)
    visit_id = await come()
    assert (await house.hold(visit_id, "guest", await slot_at(house, 10))).ends_at == at(11, 30)
