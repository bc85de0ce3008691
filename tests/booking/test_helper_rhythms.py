"""A helper comes every week, every n weeks, or on the n-th of a month: as a counter's hours do, by one decision."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.domain.opening import WeekdayHours, comes_round
from services.booking.domain.shifts import COMING_MAX, Shift, coming_days
from shared.clock import JST, jst_day
from shared.errors import Refusal
from tests.booking.conftest import TOWN, BookingTown, TownAfter
from tests.booking.helpers_town import HALL, SATO, TANAKA, HelperTown, make_helper_pack, open_with_venues
from tests.journeys.resident import read_forms

# A Monday: the town's first day. Its horizon is 20 days: three Mondays.
FIRST = date(2026, 6, 1)
MONDAYS = [FIRST + timedelta(weeks=number) for number in range(3)]


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    town = HelperTown(await town_after(open_with_venues))
    for ref in (TANAKA, SATO):
        await town.hear(town.account(ref))
    return town


async def days_of(helpers: HelperTown, venue: str = HALL) -> list[date]:
    return sorted({jst_day(slot.starts_at) for slot in await helpers.town.slots(venue)})


@pytest.mark.parametrize(
    ("rhythm", "expected"),
    [
        ({}, MONDAYS),
        ({"every_weeks": 2, "first_week": FIRST}, [MONDAYS[0], MONDAYS[2]]),
        # Any day of the week, also one before.
        ({"every_weeks": 2, "first_week": FIRST + timedelta(days=8)}, [MONDAYS[1]]),
        ({"every_weeks": 3, "first_week": FIRST - timedelta(days=20)}, [MONDAYS[0]]),
        ({"nth": (1, 3)}, [MONDAYS[0], MONDAYS[2]]),
        ({"nth": (2,)}, [MONDAYS[1]]),
        ({"nth": (5,)}, []),
        # Where weeks are not counted there is no first one.
        ({"first_week": FIRST + timedelta(weeks=9)}, MONDAYS),
    ],
)
async def test_places_are_there_when_the_helper_comes(
    helpers: HelperTown, rhythm: dict[str, Any], expected: list[date]
) -> None:
    """Seen to fail where a shift is of every week."""
    await helpers.shift(**rhythm)
    assert await days_of(helpers) == expected


async def test_who_does_not_come_that_week_is_not_asked(helpers: HelperTown) -> None:
    """Seen to fail where anybody on shift at that time of the week is asked."""
    await helpers.shift(SATO, every_weeks=2, first_week=FIRST)
    await helpers.shift(TANAKA)
    # Sato is first by name, and Tanaka the only one who comes on the second Monday.
    on = {day: await helpers.town.slots(HALL, day=day) for day in MONDAYS}
    assert [on[day][0].free for day in MONDAYS] == [2, 1, 2]
    await book_at(helpers, "second", on[MONDAYS[1]][0].slot_id)
    assert await helpers.states() == {TANAKA: "asked"}
    await book_at(helpers, "third", on[MONDAYS[2]][0].slot_id)
    assert await helpers.states() == {TANAKA: "asked", SATO: "asked"}


async def book_at(helpers: HelperTown, guest: str, slot_id: Any) -> None:
    visit_id = await helpers.town.visit(guest, procedure="DIG01", channel="helper")
    await helpers.town.hold(visit_id, guest, slot_id)
    await helpers.town.book(visit_id, guest)


@pytest.mark.parametrize(
    "rhythm",
    [
        {"every_weeks": 2},
        {"every_weeks": 0},
        {"every_weeks": 5, "first_week": FIRST},
        {"nth": (0,)},
        {"nth": (6,)},
        {"every_weeks": 2, "first_week": FIRST + timedelta(days=367)},
        {"every_weeks": 2, "first_week": date.min},
    ],
)
async def test_what_is_no_rhythm_is_refused(helpers: HelperTown, rhythm: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="shift_unfit"):
        await helpers.shift(**rhythm)


@pytest.mark.parametrize(
    ("values", "guard"),
    [("2, '{}', NULL", "every_weeks"), ("5, '{}', '2026-06-01'", "every_weeks"), ("1, '{6}', NULL", "nth")],
)
async def test_the_database_keeps_none_either(helpers: HelperTown, values: str, guard: str) -> None:
    sql = f"""INSERT INTO helper_shift (municipality, shift_id, helper_ref, venue, weekday, from_min, to_min,
                                        every_weeks, nth, first_week)
              VALUES (:town, :id, 'tanaka', 'SHED', 1, 640, 700, {values})"""
    with pytest.raises(IntegrityError, match=f"helper_shift_{guard}_check"):
        async with helpers.town.db.begin(TOWN) as session:
            await session.execute(text(sql), {"town": TOWN, "id": uuid4()})


async def test_two_times_of_a_weekday_do_not_overlap_in_whichever_weeks(helpers: HelperTown) -> None:
    await helpers.shift(nth=(1,))
    with pytest.raises(Refusal, match="shift_overlaps"):
        await helpers.shift(nth=(2,))


async def test_on_their_phone_a_helper_chooses_the_weeks_and_sees_the_days(helpers: HelperTown) -> None:
    async with helpers.town.browser(TANAKA, kind="helper", roles=("helper",)) as phone:
        page = await phone.get("/helpers/shifts")
        form = next(form for form in read_forms(page.text) if form.action == "/helpers/shifts")
        typed = {"weekday": "1", "from": "600", "to": "720", "venue": HALL, "pattern": "every2"}
        answer = await phone.post(form.action, data=form.fields | typed | {"first_week": "2026-06-08"})
        assert answer.headers["location"] == "/helpers/shifts?told=added"
        page = await phone.get(answer.headers["location"])
        for shown in ("2週に1回 月曜日 10:00〜12:00", "6月8日（月）", "6月22日（月）", "7月6日（月）"):
            assert shown in page.text, shown
        for wrong in ({"first_week": ""}, {"first_week": "いつか"}, {"first_week": "0001-01-01"}):
            refused = await phone.post(form.action, data=form.fields | typed | {"venue": "SHED"} | wrong)
            assert "この時間は登録できません" in refused.text, wrong
        # What is no choice of the page is every week.
        await phone.post(form.action, data=form.fields | typed | {"weekday": "2", "pattern": "every99"})
        assert "毎週 火曜日 10:00〜12:00" in (await phone.get("/helpers/shifts")).text
    async with helpers.town.browser("boss", kind="staff", roles=("coordinator",)) as desk:
        assert "2週に1回 月曜日 10:00〜12:00 公民館" in (await desk.get(f"/helpers/people/{TANAKA}")).text
    assert await days_of(helpers) == sorted([MONDAYS[1], *(day + timedelta(days=1) for day in MONDAYS)])


def test_the_coming_days_are_few_and_from_today_on() -> None:
    shift = Shift(helper_ref="x", weekday=1, from_min=600, to_min=720, nth=(5,))
    assert coming_days(shift, FIRST) == [date(2026, 6, 29), date(2026, 8, 31)]
    weekly = Shift(helper_ref="x", weekday=1, from_min=600, to_min=720)
    assert coming_days(weekly, FIRST) == MONDAYS[:COMING_MAX]
    assert coming_days(weekly, FIRST + timedelta(days=1))[0] == MONDAYS[1]


def test_helpers_and_counters_count_weeks_alike() -> None:
    for every_weeks in (1, 2, 3, 4):
        for nth in ((), (1,), (2, 4), (5,)):
            hours = WeekdayHours(weekday=1, hours=(), every_weeks=every_weeks, nth=nth)
            shift = Shift(
                helper_ref="x", weekday=1, from_min=0, to_min=60, every_weeks=every_weeks, nth=nth, first_week=FIRST
            )
            for day in (FIRST + timedelta(days=number) for number in range(-30, 200)):
                assert shift.is_on(day) == (day.isoweekday() == 1 and comes_round(hours, day, first_week=FIRST))


async def test_a_rule_from_the_pack_comes_round_too(bare_town: BookingTown) -> None:
    """`[[opening]]` with `every_weeks` and `first_week`, or `nth`."""
    pack = make_helper_pack()
    helpers = HelperTown(bare_town)
    opening = tuple(
        replace(each, every_weeks=2, first_week=FIRST + timedelta(weeks=1)) if HALL in each.counters else each
        for each in pack.opening
    )
    await bare_town.open(replace(pack, opening=opening))
    await helpers.hear(helpers.account())
    await helpers.shift()
    assert await days_of(helpers) == [MONDAYS[1]]
    assert datetime(2026, 6, 8, 10, tzinfo=JST) in {slot.starts_at for slot in await bare_town.slots(HALL)}
