"""No visit outside of a shift unless a coordinator has said otherwise: the database sees to it, and counts weeks as
Python does.
"""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.booking.commands import asking
from services.booking.commands.assignments import reassign
from services.booking.commands.shifts import remove_shift
from services.booking.domain.calendar import SlotTime
from services.booking.domain.opening import WeekdayHours, comes_round
from services.booking.domain.shifts import Shift, count_helpers
from services.booking.queries.askable import ON_SHIFT_THERE
from shared.clock import JST
from tests.booking.conftest import TOWN, TownAfter
from tests.booking.helpers_town import HALL, SATO, SHED, TANAKA, HelperTown, open_with_venues
from tests.booking.test_helpers import COORDINATOR

# A Thursday: first weeks are told by any day of theirs.
FIRST = date(2026, 2, 26)
NO_SHIFT = "the helper has no shift there then"
DAYS_BACK, DAYS_ON = 40, 800
NTHS: tuple[tuple[int, ...], ...] = ((), (1,), (2, 4), (3,), (5,), (1, 2, 3, 4, 5))


@pytest_asyncio.fixture
async def helpers(town_after: TownAfter) -> HelperTown:
    """Sato is at the hall on Mondays from 10 to 12; Tanaka has an account and no time yet."""
    town = HelperTown(await town_after(open_with_venues))
    await town.helper(SATO)
    await town.hear(town.account(TANAKA))
    return town


async def test_the_database_counts_weeks_as_the_rules_do(helpers: HelperTown) -> None:
    """Two years and more in every rhythm there is: with a leap day, a year of 53 weeks, and days before the first."""
    sql = """SELECT every_weeks, nth, first_week, day,
                    comes_round(day, every_weeks, CAST(nth AS integer[]), first_week) AS comes
             FROM unnest(CAST(:everies AS integer[])) AS every_weeks, unnest(CAST(:nths AS text[])) AS nth,
                  unnest(CAST(:firsts AS date[])) AS first_week,
                  (SELECT CAST(:start AS date) + n AS day FROM generate_series(0, CAST(:days AS integer)) AS n)"""
    asked = {
        "everies": [1, 2, 3, 4],
        "nths": ["{" + ",".join(map(str, nth)) + "}" for nth in NTHS],
        "firsts": [FIRST, FIRST + timedelta(days=3), FIRST + timedelta(days=4), None],
        "start": FIRST - timedelta(days=DAYS_BACK),
        "days": DAYS_ON,
    }
    async with helpers.town.db.begin(TOWN) as session:
        rows = (await session.execute(text(sql), asked)).all()
    assert len(rows) == 4 * len(NTHS) * 4 * (DAYS_ON + 1)
    differing = []
    for row in rows:
        nth = tuple(int(number) for number in row.nth.strip("{}").split(",") if number)
        hours = WeekdayHours(weekday=1, hours=(), every_weeks=row.every_weeks, nth=nth)
        if comes_round(hours, row.day, first_week=row.first_week) is not row.comes:
            differing.append(row)
    assert differing == []


async def test_the_database_knows_who_is_on_shift_as_the_rules_do(helpers: HelperTown) -> None:
    """All hours of the week, also past midnight, before 9:00 in Japan (another day in UTC), and too long ones."""
    await helpers.shift(SATO, venue=SHED, weekday=2, hours=(0, 2))
    await helpers.shift(SATO, venue=SHED, weekday=3, hours=(22, 24), every_weeks=2, first_week=date(2026, 6, 10))
    await helpers.shift(SATO, venue=SHED, weekday=5, hours=(13, 16), nth=(1, 3))
    # Single days: beyond every rhythm, and in a week in which the rhythm of that weekday rests.
    await helpers.shift(SATO, venue=SHED, weekday=4, hours=(9, 11), only_on=date(2026, 6, 11))
    await helpers.shift(SATO, venue=SHED, weekday=5, hours=(14, 17), only_on=date(2026, 6, 12))
    rows = await helpers.town.rows("SELECT * FROM booking.helper_shift WHERE venue = 'SHED'")
    shifts = [
        Shift(
            helper_ref=SATO, weekday=row.weekday, from_min=row.from_min, to_min=row.to_min,  # type: ignore[attr-defined]
            every_weeks=row.every_weeks, nth=tuple(row.nth), first_week=row.first_week,  # type: ignore[attr-defined]
            only_on=row.only_on,  # type: ignore[attr-defined]
        )
        for row in rows
    ]  # fmt: skip
    start = datetime(2026, 6, 1, tzinfo=JST)
    times = [
        SlotTime(begins, begins + timedelta(minutes=minutes))
        for begins in (start + timedelta(minutes=30) * number for number in range(4 * 7 * 48))
        for minutes in (30, 60, 150)
    ]
    sql = """SELECT is_on_shift(:town, 'sato', 'SHED', tstzrange(starts_at, ends_at)) AS on_shift
             FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
                WITH ORDINALITY AS t(starts_at, ends_at, no) ORDER BY no"""
    asked = {"town": TOWN, "starts": [time.starts_at for time in times], "ends": [time.ends_at for time in times]}
    async with helpers.town.db.begin(TOWN) as session:
        on_shift = list((await session.execute(text(sql), asked)).scalars())
    assert on_shift == [count_helpers(time, shifts, ()) == 1 for time in times]
    assert 0 < sum(on_shift) < len(times)


async def run(helpers: HelperTown, sql: str, **values: Any) -> None:
    async with helpers.town.db.begin(TOWN) as session:
        await session.execute(text(sql), values)


async def test_nobody_is_asked_outside_of_a_shift(helpers: HelperTown) -> None:
    """Each of these stands with the trigger `guard_assignment` dropped: seen at the end."""
    booked = await helpers.book()
    [request] = await helpers.requests(SATO)
    one = {"id": request.assignment_id}
    an_hour = "UPDATE assignment SET during = tstzrange(lower(during) - interval '1 hour', upper(during)) WHERE "
    outside: list[tuple[str, dict[str, Any]]] = [
        (f"{an_hour} assignment_id = :id", one),
        ("UPDATE assignment SET helper_ref = 'tanaka' WHERE assignment_id = :id", one),
    ]
    for sql, values in outside:
        with pytest.raises(IntegrityError, match=NO_SHIFT):
            await run(helpers, sql, **values)
    # Said so by whoever may: it stands, and cannot be unsaid.
    await run(
        helpers, "UPDATE assignment SET helper_ref = 'tanaka', overrides_shift = true WHERE assignment_id = :id", **one
    )
    with pytest.raises(IntegrityError, match=NO_SHIFT):
        await run(helpers, "UPDATE assignment SET overrides_shift = false WHERE assignment_id = :id", **one)
    # What is over is nothing that anybody has to come to; taken up again, it is.
    await run(
        helpers, "UPDATE assignment SET state = 'declined', overrides_shift = false WHERE assignment_id = :id", **one
    )
    for state in ("asked", "accepted"):
        with pytest.raises(IntegrityError, match=NO_SHIFT):
            await run(helpers, "UPDATE assignment SET state = :state WHERE assignment_id = :id", **one, state=state)
    async with helpers.town.database.owner_engine("booking").begin() as connection:
        await connection.execute(text("DROP TRIGGER guard_assignment ON booking.assignment"))
    await run(helpers, "UPDATE assignment SET state = 'asked' WHERE assignment_id = :id", **one)
    await run(helpers, f"{an_hour} assignment_id = :id", **one)
    assert await helpers.appointment(booked) == ("booked", "asked")


async def test_with_the_rules_removed_the_database_still_refuses(
    helpers: HelperTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application asks anybody with a shift anywhere, at whatever time and in whatever week."""
    await helpers.shift(TANAKA, venue=SHED, weekday=4)
    careless = asking._FREE_HELPERS.text
    assert ON_SHIFT_THERE in careless
    careless = careless.replace(ON_SHIFT_THERE, "h.helper_ref = 'tanaka'")
    monkeypatch.setattr(asking, "_FREE_HELPERS", text(careless))
    with pytest.raises(IntegrityError, match=NO_SHIFT):
        await helpers.book()


async def test_what_was_promised_stays_when_the_shift_goes(helpers: HelperTown) -> None:
    await helpers.book("a")
    await helpers.book("b", 0)
    await helpers.answer(SATO, "accept")
    [shift] = await helpers.town.rows("SELECT shift_id FROM booking.helper_shift")
    async with helpers.town.db.begin(TOWN) as session:
        await remove_shift(session, helpers.identity(SATO), shift.shift_id, now=helpers.town.now)  # type: ignore[attr-defined]
    asked = next(row for row in await helpers.requests(SATO) if row.state == "asked")
    await helpers.answer(SATO, "accept", asked.assignment_id)
    assert [row.state for row in await helpers.requests(SATO)] == ["accepted", "accepted"]
    assert await helpers.free(HALL) == [0, 0]


@pytest.mark.parametrize(("has_shift", "overrides"), [(True, False), (False, True)])
async def test_a_coordinators_request_says_whether_it_overrides_shifts(
    helpers: HelperTown, *, has_shift: bool, overrides: bool
) -> None:
    """Refused with IntegrityError where it says nothing: seen."""
    if has_shift:
        await helpers.shift(TANAKA)
    booked = await helpers.book()
    [request] = await helpers.requests(SATO)
    async with helpers.town.db.begin(TOWN) as session:
        await reassign(session, COORDINATOR, request.assignment_id, TANAKA, now=helpers.town.now)
    [row] = await helpers.town.rows("SELECT overrides_shift FROM booking.assignment WHERE helper_ref = 'tanaka'")
    assert row.overrides_shift is overrides  # type: ignore[attr-defined]
    await helpers.answer(TANAKA, "accept")
    assert await helpers.appointment(booked) == ("booked", "accepted")
