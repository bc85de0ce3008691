"""Whatever rules follow one another: who is in stays in, only later days change, the slots are those planned."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.booking.commands.horizon import open_horizon
from services.booking.commands.kiosk import BookAtKiosk, book_at_kiosk
from services.booking.domain.opening import Hours, OpeningRule, planned_slots
from services.booking.queries.kiosk import list_kiosk_times
from services.booking.queries.rules import get_rules, list_counter_rules, list_day_plans
from shared.clock import jst_day
from shared.errors import Refusal
from tests.booking.conftest import CHILD, TOWN, BookingTown, make_pack
from tests.booking.opening_town import all_slots, make_rule, publish
from tests.booking.test_kiosk import MACHINE

COUNTER = "7"
AHEAD_MAX = 6
HOURS = (
    (Hours(time(9), time(12)),),
    (Hours(time(8, 30), time(12)), Hours(time(13), time(17, 15))),
    (Hours(time(9, 10), time(11)), Hours(time(11), time(12)), Hours(time(22), time(0))),
    (Hours(time(13), time(16)),),
)
MANY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # The town goes on: every example begins with what the one before has left.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

# How many places, and how many of them for staff and for the ticket machine alone.
shared_out = st.integers(1, 4).flatmap(
    lambda places: st.tuples(st.just(places), st.integers(0, min(1, places)), st.integers(0, min(2, places - 1)))
)
rules = st.builds(
    lambda shares, **rule: make_rule(places=shares[0], staff_only=shares[1], kiosk=shares[2], **rule),
    shared_out.filter(lambda shares: shares[1] + shares[2] <= shares[0]),
    slot_min=st.sampled_from((15, 20, 30, 45, 60)),
    hours=st.sampled_from(HOURS),
    weekdays=st.sets(st.integers(1, 7)).map(lambda days: tuple(sorted(days))),
)
shares = st.floats(0, 1, exclude_max=True)
steps = st.one_of(
    st.tuples(st.just("publish"), rules, st.integers(1, AHEAD_MAX)),
    st.tuples(st.just("book"), shares),
    st.tuples(st.just("hold"), shares),
    st.tuples(st.just("kiosk"), shares),
    st.tuples(st.just("wait"), st.sampled_from((timedelta(minutes=11), timedelta(hours=15)))),
)


@pytest_asyncio.fixture
async def small_town(bare_town: BookingTown) -> BookingTown:
    await bare_town.open(make_pack(horizon_days=9))
    return bare_town


@MANY
@given(given_steps=st.lists(steps, min_size=2, max_size=5))
async def test_nobody_loses_their_place_and_the_slots_are_those_planned(
    small_town: BookingTown, given_steps: list[Any]
) -> None:
    """Seen to fail with holds dropped like free places, with a slot nobody plans given out, with the newest version
    taken for every day, and with `fit_places` opening the machine's places to everybody."""
    town = small_town
    for kind, *step in given_steps:
        people = await everybody(town)
        if kind == "publish":
            await publish_and_compare(town, *step)
        elif kind == "wait":
            town.now += step[0]
            people = [person for person in people if person.until is None or person.until > town.now]
        elif kind == "kiosk":
            await come_to_the_machine(town, step[0])
        elif free := [slot for slot in await town.slots() if slot.free]:
            await come(town, free[int(step[0] * len(free))].slot_id, books=kind == "book")
        await assert_as_planned(town)
        assert set(people) <= set(await everybody(town))


async def everybody(town: BookingTown) -> list[Any]:
    """Who is in which place of which time: appointments (without an end), and holds that live."""
    return await town.rows(
        """SELECT coalesce(p.appointment_id, p.hold_id) AS who, s.slot_id, p.place_no, s.starts_at, s.ends_at,
                  p.held_until AS until
           FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
           WHERE p.appointment_id IS NOT NULL OR p.held_until > :now""",
        now=town.now,
    )


async def come(town: BookingTown, slot_id: Any, *, books: bool) -> None:
    """Whoever needs more time than is left there in one piece does not come."""
    guest = f"guest-{len(await town.rows('SELECT 1 FROM booking.visit'))}"
    visit_id = await town.visit(guest)
    try:
        await town.hold(visit_id, guest, slot_id)
    except Refusal as refusal:
        if refusal.code not in ("slot_too_short", "slot_taken"):
            raise
        return
    if books:
        await town.book(visit_id, guest)


async def come_to_the_machine(town: BookingTown, share: float) -> None:
    """Somebody in the lobby takes one of today's times, if there is one."""
    async with town.db.begin(TOWN) as session:
        policy = (await get_rules(session, TOWN)).policy
        times = await list_kiosk_times(session, TOWN, [COUNTER], policy, now=town.now)
        if times:
            order = BookAtKiosk(procedure=CHILD, slot_id=times[int(share * len(times))].slot_id, key=uuid4().hex)
            try:
                await book_at_kiosk(session, MACHINE, order, town.keys, now=town.now)
            except Refusal as refusal:
                # What takes longer than a slot is booked at the desk.
                if refusal.code != "slot_unfit":
                    raise


async def publish_and_compare(town: BookingTown, rule: OpeningRule, ahead: int) -> None:
    """What lies before the version's day is not even written."""
    valid_from = jst_day(town.now) + timedelta(days=ahead)
    # What the passing of time alone changes comes first.
    await make_again(town)
    before = await all_slots(town, COUNTER)
    await publish(town, rule, valid_from)
    assert until(await all_slots(town, COUNTER), valid_from) == until(before, valid_from)


def until(slots: list[Any], day: date) -> list[Any]:
    return [slot for slot in slots if jst_day(slot.starts_at) < day]


async def make_again(town: BookingTown) -> None:
    async with town.db.begin(TOWN) as session:
        await open_horizon(session, TOWN, now=town.now)


async def assert_as_planned(town: BookingTown) -> None:
    """The slots are those of the rules, but where somebody is in the way; and made again, nothing is written."""
    await make_again(town)
    slots = await all_slots(town, COUNTER)
    await make_again(town)
    assert await all_slots(town, COUNTER) == slots
    taken = Counter(person.slot_id for person in await everybody(town))
    async with town.db.begin(TOWN) as session:
        found = await list_counter_rules(session, TOWN, today=jst_day(town.now))
        plans = (await list_day_plans(session, TOWN, found, now=town.now))[COUNTER]
    planned = {
        (slot.time.starts_at, slot.time.ends_at): slot
        for plan in plans
        for slot in planned_slots(plan)
        if slot.time.starts_at > town.now
    }
    coming = [slot for slot in slots if slot.starts_at > town.now]
    given_out = {(slot.starts_at, slot.ends_at): slot for slot in coming if not slot.withdrawn}
    assert given_out.keys() <= planned.keys()
    for times, slot in given_out.items():
        open_places = [place for place in slot.places if "closed" not in place]
        assert len(open_places) == max(planned[times].places, taken[slot.slot_id]), times
        if not taken[slot.slot_id]:
            kept = Counter(word for place in open_places for word in ("staff", "kiosk") if word in place)
            assert (kept["staff"], kept["kiosk"]) == (planned[times].staff_only, planned[times].kiosk), times
    assert all(slot.slot_id in taken for slot in coming if slot.withdrawn)
    for times in planned.keys() - given_out.keys():
        # What has begun is left alone, whoever is in it.
        assert any(overlaps(times, slot) for slot in slots if slot.slot_id in taken or slot.starts_at <= town.now), (
            times
        )


def overlaps(times: tuple[datetime, datetime], slot: Any) -> bool:
    return bool(times[0] < slot.ends_at and slot.starts_at < times[1])
