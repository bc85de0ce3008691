"""Versions of opening rules: published ahead, kept once open, looked at before; and only what differs is made."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands.horizon import on_extend_horizon_due, open_horizon
from services.booking.domain.opening import Hours, SpecialDay
from services.booking.queries.rules import get_rules, list_closed_days
from shared.clock import JST, jst_day
from shared.errors import Refusal
from tests.booking.conftest import OTHER_TOWN, TOWN, BookingTown, make_pack
from tests.booking.helpers_town import HALL, HelperTown
from tests.booking.opening_town import (
    TUESDAY,
    WEDNESDAY,
    all_slots,
    make_rule,
    preview,
    publish,
    withdraw,
)

SHORT_DAY = (Hours(time(9), time(12)),)


async def versions(town: BookingTown, counter: str = "7") -> list[tuple[int, str, str, bool]]:
    rows: Sequence[Any] = await town.rows(
        """SELECT version, valid_from, origin, withdrawn_at IS NOT NULL AS gone FROM booking.opening_rule
           WHERE counter = :counter ORDER BY version""",
        counter=counter,
    )
    return [(row.version, f"{row.valid_from:%m-%d}", row.origin, row.gone) for row in rows]


def day_of(slot: Any) -> date:
    return jst_day(slot.starts_at)


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), JST)


async def test_the_pack_is_the_first_version_and_a_changed_one_counts_from_tomorrow(bare_town: BookingTown) -> None:
    town = bare_town
    await town.open()
    assert await versions(town) == [(1, "06-01", "pack", False)]
    await town.open()
    await town.open(make_pack(slot_min=45))
    assert await versions(town) == [(1, "06-01", "pack", False), (2, "06-02", "pack", False)]
    # Counter 3 has not changed.
    assert await versions(town, "3") == [(1, "06-01", "pack", False)]
    minutes = {
        (day_of(slot) > jst_day(town.now), (slot.ends_at - slot.starts_at) // timedelta(minutes=1))
        for slot in await all_slots(town)
    }
    assert minutes == {(False, 30), (True, 45)}


async def test_the_pack_does_not_undo_what_staff_published_until_it_says_something_else(town: BookingTown) -> None:
    await publish(town, make_rule(slot_min=60), WEDNESDAY)
    town.now += timedelta(days=3)
    await town.open()
    assert await versions(town) == [(1, "06-01", "pack", False), (2, "06-03", "staff", False)]
    await town.open(make_pack(slot_min=45))
    assert (await versions(town))[2:] == [(3, "06-05", "pack", False)]


async def test_a_counter_that_comes_back_with_another_rule_begins_with_its_old_one(town: BookingTown) -> None:
    pack = make_pack()
    hours = msgspec.structs.replace(pack.opening[0], counters=("3",))
    await town.open(msgspec.structs.replace(pack, counters=pack.counters[1:], opening=(hours,)))
    assert await all_slots(town) == []
    assert await town.rows("SELECT 1 FROM booking.opened_day WHERE counter = '7'") == []
    await town.open(make_pack(slot_min=45))
    minutes = {(slot.ends_at - slot.starts_at) // timedelta(minutes=1) for slot in await all_slots(town)}
    assert minutes == {30, 45}


async def test_only_the_days_from_a_version_on_are_made_again(town: BookingTown) -> None:
    """Seen to fail with the newest version taken for every day."""
    before = await all_slots(town)
    other = await all_slots(town, "3")
    assert await publish(town, make_rule(slot_min=60), WEDNESDAY) == 2
    after = await all_slots(town)
    assert [slot for slot in after if day_of(slot) < WEDNESDAY] == [slot for slot in before if day_of(slot) < WEDNESDAY]
    assert {slot.ends_at - slot.starts_at for slot in after if day_of(slot) >= WEDNESDAY} == {timedelta(hours=1)}
    assert await all_slots(town, "3") == other


async def test_a_version_rewrites_only_the_days_on_which_it_differs(town: BookingTown) -> None:
    before = await all_slots(town)
    closed = SpecialDay(day=date(2026, 6, 4), reason_ja="研修")
    await publish(town, make_rule(special_days=(closed,)), TUESDAY)
    assert await all_slots(town) == [slot for slot in before if day_of(slot) != closed.day]


async def test_making_everything_again_writes_nothing(town: BookingTown) -> None:
    """Seen to fail with every day taken for changed."""
    await publish(town, make_rule(slot_min=45), WEDNESDAY)
    before, days = (
        await all_slots(town),
        await town.rows("SELECT *, xmin::text FROM booking.opened_day ORDER BY 1, 2, 3"),
    )
    for _ in range(2):
        async with town.db.begin(TOWN) as session:
            await open_horizon(session, TOWN, now=town.now)
    assert await all_slots(town) == before
    assert await town.rows("SELECT *, xmin::text FROM booking.opened_day ORDER BY 1, 2, 3") == days


async def test_the_night_makes_the_next_day_and_leaves_the_others(town: BookingTown) -> None:
    before = await all_slots(town)
    town.now += timedelta(days=7)
    async with town.db.begin(TOWN) as session:
        await on_extend_horizon_due(session, TOWN, "town", town.now)
    after = await all_slots(town)
    assert after[: len(before)] == before
    assert {day_of(slot) for slot in after[len(before) :]} == {date(2026, 6, day) for day in (22, 23, 24, 25, 26)}
    [oldest] = await town.rows("SELECT min(day) AS day FROM booking.opened_day")
    assert oldest.day == jst_day(town.now)  # type: ignore[attr-defined]


async def test_who_was_in_the_way_in_one_night_is_not_in_the_next(town: BookingTown) -> None:
    """A hold keeps its slot, and the planned ones beside it out; once it has lapsed the night makes them.

    Seen to fail with the day remembered as made.
    """
    visit_id = await town.visit("guest")
    slot = next(slot for slot in await town.slots() if slot.starts_at == at(WEDNESDAY, 9))
    await town.hold(visit_id, "guest", slot.slot_id)
    await publish(town, make_rule(slot_min=45), TUESDAY)
    [kept] = [found for found in await all_slots(town) if found.withdrawn]
    assert kept.slot_id == slot.slot_id
    town.now += timedelta(hours=16)
    async with town.db.begin(TOWN) as session:
        await on_extend_horizon_due(session, TOWN, "town", town.now)
    found = [slot for slot in await all_slots(town) if day_of(slot) == WEDNESDAY]
    assert not any(slot.withdrawn for slot in found)
    assert {slot.ends_at - slot.starts_at for slot in found} == {timedelta(minutes=45)}


async def test_a_shorter_horizon_closes_what_lies_beyond(town: BookingTown) -> None:
    await town.open(make_pack(horizon_days=5))
    assert max(day_of(slot) for slot in await all_slots(town)) == date(2026, 6, 5)
    await town.open(make_pack(horizon_days=20))
    assert max(day_of(slot) for slot in await all_slots(town)) == date(2026, 6, 19)


async def test_a_preview_tells_what_comes_and_goes_and_who_is_affected_and_writes_nothing(town: BookingTown) -> None:
    kept, moved = await town.booked("kept", slot=18), await town.booked("moved", slot=29)
    assert (kept.starts_at, moved.starts_at) == (at(TUESDAY, 10), at(TUESDAY, 15, 30))
    before = await all_slots(town)
    found = await preview(town, make_rule(hours=(*SHORT_DAY, Hours(time(18), time(19)))), TUESDAY)
    assert await all_slots(town) == before
    assert await versions(town) == [(1, "06-01", "pack", False)]
    assert [(conflict.starts_at, conflict.procedure) for conflict in found.conflicts] == [
        (moved.starts_at, "児童手当の申請")
    ]
    assert found.conflicts[0].number == moved.number
    on_tuesday = [slot.starts_at for slot in found.appearing if slot.starts_at < at(WEDNESDAY, 0)]
    assert on_tuesday == [at(TUESDAY, 18), at(TUESDAY, 18, 30)]
    gone = [slot.starts_at.astimezone(JST).time() for slot in found.disappearing if slot.starts_at < at(WEDNESDAY, 0)]
    assert (gone[0], gone[1], gone[-1]) == (time(8, 30), time(12), time(16, 30))
    assert found.resized == ()
    assert (found.first, found.last) == (TUESDAY, date(2026, 6, 21))
    # And it comes true.
    await publish(town, make_rule(hours=(*SHORT_DAY, Hours(time(18), time(19)))), TUESDAY)
    after = {slot.starts_at for slot in await all_slots(town) if not slot.withdrawn}
    was = {slot.starts_at for slot in before}
    assert after - was == {slot.starts_at for slot in found.appearing}
    assert was - after == {slot.starts_at for slot in found.disappearing}


async def test_a_preview_tells_other_lengths_and_places_and_ends_where_the_next_version_begins(
    town: BookingTown,
) -> None:
    found = await preview(town, make_rule(slot_min=60, places=3), WEDNESDAY)
    first = found.resized[0]
    assert (first.before.starts_at, first.after.ends_at) == (at(WEDNESDAY, 8, 30), at(WEDNESDAY, 9, 30))
    assert (first.places_before, first.places_after) == (2, 3)
    await publish(town, make_rule(slot_min=15), date(2026, 6, 8))
    again = await preview(town, make_rule(slot_min=60), WEDNESDAY)
    assert again.last == date(2026, 6, 7)
    beyond = await preview(town, make_rule(slot_min=60), date(2027, 1, 4))
    assert (beyond.appearing, beyond.disappearing, beyond.conflicts) == ((), (), ())


async def test_at_a_venue_a_preview_counts_the_times_at_which_a_helper_is_there(bare_town: BookingTown) -> None:
    helpers = HelperTown(bare_town)
    await helpers.open()
    await helpers.helper()
    booked = await helpers.book()
    monday = date(2026, 6, 8)
    shorter = make_rule(slot_min=60, places=0, hours=(Hours(time(9), time(11)),))
    found = await preview(bare_town, shorter, TUESDAY, counter=HALL)
    # The helper is there from 10 to 12 on Mondays.
    assert [slot.starts_at for slot in found.disappearing] == [at(monday, 11), at(date(2026, 6, 15), 11)]
    assert (found.appearing, found.conflicts) == ((), ())
    assert booked.starts_at == at(date(2026, 6, 1), 10)
    await publish(bare_town, shorter, TUESDAY, counter=HALL)
    assert [slot.starts_at for slot in await all_slots(bare_town, HALL) if day_of(slot) >= TUESDAY] == [
        at(monday, 10), at(date(2026, 6, 15), 10),
    ]  # fmt: skip


async def test_a_version_is_published_for_tomorrow_at_the_earliest(town: BookingTown) -> None:
    # 23:59 in Japan: tomorrow is a minute away, and still allowed.
    town.now = at(TUESDAY, 23, 59)
    for day in (TUESDAY, date(2026, 6, 1)):
        with pytest.raises(Refusal, match="rule_start_unfit"):
            await publish(town, make_rule(slot_min=60), day)
    assert await publish(town, make_rule(slot_min=60), WEDNESDAY) == 2
    with pytest.raises(Refusal, match="counter_unknown"):
        await publish(town, make_rule(slot_min=60), WEDNESDAY, counter="99")
    with pytest.raises(Refusal, match="rule_unfit"):
        await publish(town, make_rule(places=0), WEDNESDAY)


async def test_a_version_for_the_same_day_replaces_the_one_that_has_not_come(town: BookingTown) -> None:
    assert await publish(town, make_rule(slot_min=60), WEDNESDAY) == 2
    # Sent twice, it is one.
    assert await publish(town, make_rule(slot_min=60), WEDNESDAY, seen=1) == 2
    assert await publish(town, make_rule(slot_min=45), WEDNESDAY) == 3
    assert await versions(town) == [
        (1, "06-01", "pack", False), (2, "06-03", "staff", True), (3, "06-03", "staff", False),
    ]  # fmt: skip
    with pytest.raises(Refusal, match="rules_moved"):
        await publish(town, make_rule(slot_min=15), WEDNESDAY, seen=2)


async def test_a_version_is_withdrawn_until_its_day_has_come(town: BookingTown) -> None:
    before = await all_slots(town)
    version = await publish(town, make_rule(hours=SHORT_DAY), WEDNESDAY)
    town.now = at(TUESDAY, 23, 59)
    for _ in range(2):
        await withdraw(town, version)
    # The horizon has moved on by a day.
    after = [(slot.starts_at, slot.ends_at, slot.withdrawn) for slot in (await all_slots(town))[: len(before)]]
    assert after == [(slot.starts_at, slot.ends_at, slot.withdrawn) for slot in before]
    version = await publish(town, make_rule(hours=SHORT_DAY), WEDNESDAY)
    town.now = at(WEDNESDAY, 0)
    with pytest.raises(Refusal, match="version_open"):
        await withdraw(town, version)
    with pytest.raises(Refusal, match="version_unknown"):
        await withdraw(town, 9)


async def test_two_who_publish_at_once_come_one_after_the_other(town: BookingTown) -> None:
    """Seen to fail without the lock: both are the second version, and one of them meets the key."""
    rules = [make_rule(slot_min=minutes) for minutes in (45, 60, 20, 15)]
    outcomes = await asyncio.gather(*(publish(town, rule, WEDNESDAY, seen=1) for rule in rules), return_exceptions=True)
    assert sorted(str(getattr(outcome, "code", outcome)) for outcome in outcomes) == ["2", *["rules_moved"] * 3]


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE opening_rule SET rule = '{}' WHERE version = 2", "not changed"),
        ("UPDATE opening_rule SET valid_from = valid_from + 1 WHERE version = 1", "not changed"),
        ("UPDATE opening_rule SET valid_from = valid_from + 1, withdrawn_at = :now WHERE version = 2", "not changed"),
        ("UPDATE opening_rule SET withdrawn_at = :now WHERE version = 1", "is not withdrawn"),
        ("UPDATE opening_rule SET withdrawn_at = :late WHERE version = 2", "is not withdrawn"),
        (
            "UPDATE opening_rule SET withdrawn_at = published_at - interval '1 hour' WHERE version = 2",
            "is not withdrawn",
        ),
        ("DELETE FROM opening_rule WHERE version = 1", "not removed"),
        ("DELETE FROM opening_rule WHERE version = 2", "not removed"),
        (
            """INSERT INTO opening_rule (municipality, counter, version, valid_from, rule, origin, published_by,
                                         published_at)
               SELECT municipality, counter, 3, valid_from, rule, origin, published_by, CAST(:late AS timestamptz)
               FROM opening_rule WHERE version = 2""",
            "ahead of its day",
        ),
    ],
)
async def test_the_database_keeps_what_was_published(town: BookingTown, sql: str, problem: str) -> None:
    """Raw SQL as the application's own role; seen to fail without the trigger."""
    await publish(town, make_rule(slot_min=60), WEDNESDAY)
    values = {"now": town.now, "late": at(WEDNESDAY, 0)}
    given = {name: value for name, value in values.items() if f":{name}" in sql}
    with pytest.raises(IntegrityError, match=problem):
        async with town.db.begin(TOWN) as session:
            await session.execute(text(sql.replace("WHERE version", "WHERE counter = '7' AND version")), given)
    assert await versions(town) == [(1, "06-01", "pack", False), (2, "06-03", "staff", False)]


async def test_one_day_has_one_version(town: BookingTown) -> None:
    await publish(town, make_rule(slot_min=60), WEDNESDAY)
    sql = """INSERT INTO opening_rule
                 (municipality, counter, version, valid_from, rule, origin, published_by, published_at)
             SELECT municipality, counter, 3, valid_from, rule, origin, published_by, published_at
             FROM opening_rule WHERE counter = '7' AND version = 2"""
    with pytest.raises(IntegrityError, match="opening_rule_valid_from_idx"):
        async with town.db.begin(TOWN) as session:
            await session.execute(text(sql))


async def test_another_town_has_rules_of_its_own(town: BookingTown) -> None:
    await town.open(make_pack(OTHER_TOWN))
    before = await all_slots(town, code=OTHER_TOWN)
    await publish(town, make_rule(hours=SHORT_DAY), TUESDAY)
    assert await all_slots(town, code=OTHER_TOWN) == before


async def test_an_offices_special_day_is_told_and_opens_on_a_holiday(bare_town: BookingTown) -> None:
    town = bare_town
    # 2026-07-20 is 海の日, a Monday.
    town.now = datetime.combine(date(2026, 7, 13), time(9), JST)
    await town.open()
    special = (
        SpecialDay(day=date(2026, 7, 20), hours=SHORT_DAY, reason_ja="休日開庁"),
        SpecialDay(day=date(2026, 7, 21), reason_ja="研修"),
    )
    await publish(town, make_rule(special_days=special), date(2026, 7, 14))
    by_day = {day_of(slot) for slot in await all_slots(town)}
    assert date(2026, 7, 20) in by_day
    assert date(2026, 7, 21) not in by_day
    days = [date(2026, 7, 20), date(2026, 7, 21)]
    async with town.db.begin(TOWN) as session:
        rules = await get_rules(session, TOWN)
        alone = await list_closed_days(session, TOWN, rules, days, counters=["7"])
        together = await list_closed_days(session, TOWN, rules, days, counters=["7", "3"])
    assert alone == {days[0]: "海の日", days[1]: "研修"}
    assert together == {days[0]: "海の日"}


async def test_a_slot_that_somebody_is_in_grows_and_shrinks_around_them(town: BookingTown) -> None:
    """Seen to fail without `fit_places`: two of the old places go on being given out."""
    booked = await town.booked(slot=15)

    async def audiences() -> list[str]:
        rows: Sequence[Any] = await town.rows(
            """SELECT p.audience || CASE WHEN p.appointment_id IS NULL THEN '' ELSE '!' END AS place
               FROM booking.place p JOIN booking.slot s USING (municipality, slot_id)
               WHERE s.counter = '7' AND s.starts_at = :at ORDER BY p.place_no""",
            at=booked.starts_at,
        )
        return [row.place for row in rows]

    assert await audiences() == ["public!", "public"]
    for places, staff_only, expected in (
        (1, 0, ["public!", "closed"]),
        (2, 1, ["public!", "staff"]),
        (4, 1, ["public!", "public", "public", "staff"]),
        (2, 0, ["public!", "public", "closed", "closed"]),
        (4, 0, ["public!", "public", "public", "public"]),
    ):
        await publish(town, make_rule(places=places, staff_only=staff_only), TUESDAY)
        assert await audiences() == expected, (places, staff_only)


async def test_a_lapsed_hold_in_a_place_that_is_closed_now_keeps_nobody_from_another(town: BookingTown) -> None:
    """Seen to fail (500) when only holds in other slots are given back: a visit would have had two."""
    await publish(town, make_rule(places=3), TUESDAY)
    slot = (await town.slots("7", day=TUESDAY))[0]
    visits = {guest: await town.visit(guest) for guest in "abc"}
    for guest, visit_id in visits.items():
        await town.hold(visit_id, guest, slot.slot_id)
    await town.book(visits["a"], "a")
    town.now += timedelta(minutes=10)
    # The first is taken, the second stays open, the third is closed.
    await publish(town, make_rule(places=2), TUESDAY)
    await town.hold(visits["c"], "c", slot.slot_id)
    assert (await town.slots("7", day=TUESDAY))[0].free == 0
